"""gist plugins: what can be used, where it is searched, and whether it keeps its promises."""

import json
import os
import shutil
import subprocess
import unittest

from families import LLAMA, for_each_family
from gist_cli import FIXTURES, GIST, TempDirTest, environment, records_of, run


class PluginsTest(TempDirTest):
    family = LLAMA

    def setUp(self):
        super().setUp()
        # So that the plugins of whoever runs the tests don't matter.
        self.env = {"XDG_DATA_HOME": self.path("data")}

    def plugins(self, *args, env=None):
        return run("plugins", *args, env={**self.env, **(env or {})})

    def listed(self, *args, **env):
        result = self.plugins("list", "--json", *args, env=env)
        self.assertEqual((result.code, result.err), (0, ""))
        return records_of(result.out)

    def built(self):
        """The entry of the family's plugin that was built with gist."""
        (entry,) = [entry for entry in self.listed() if entry["name"] == self.family.name]
        return entry


@for_each_family
class Proofs(PluginsTest):
    def test_list_names_the_plugin_and_what_it_serves(self):
        entry = self.built()
        self.assertEqual(entry["families"], [self.family.name])
        self.assertIn(self.family.architecture, entry["architectures"])
        self.assertIsNone(entry["refused"])
        self.assertTrue(os.path.isfile(entry["path"]))
        result = self.plugins("list")
        self.assertEqual(result.code, 0)
        (line,) = [line for line in result.out.splitlines() if line.startswith(self.family.name + " ")]
        for word in [entry["version"], self.family.architecture, entry["path"]]:
            self.assertIn(word, line)

    def test_check_passes_the_plugin(self):
        checks = [f"{check} of {self.family.name}" for check in (
            "configure", "config keys", "integer keys", "weights", "state", "windows", "gist invariant")]
        words = [self.built()["path"], "--checkpoint", self.family.model]
        golden = FIXTURES / "golden" / self.family.model.name / "layers.safetensors"
        if golden.exists():
            words += ["--golden", golden]
        result = self.plugins("check", *words)
        self.assertEqual((result.code, result.err), (0, ""))
        self.assertEqual(result.out.splitlines(),
                         [f"ok {check}" for check in ["manifest", "abi", *checks, "checkpoint"] +
                          (["golden"] if golden.exists() else [])])


class Plugins(PluginsTest):
    def test_templates_are_listed_with_an_example(self):
        listed = {entry["name"]: entry for entry in records_of(self.plugins("templates", "--json").out)}
        self.assertEqual(list(listed), ["alpaca", "chatml", "llama3", "gemma", "mistral", "t5"])
        self.assertEqual(listed["alpaca"]["template"][0], "bos")
        self.assertIn("<|im_start|>user\nWhat do bees make?<|im_end|>", listed["chatml"]["example"])
        lines = self.plugins("templates").out.splitlines()
        self.assertEqual(len(lines), 2 * len(listed))
        self.assertIn("<s>Instruction: Answer in one word.<GIST>Input: What do bees make?", lines[1])

    def copy_of_llama(self, directory, manifest=None):
        """A copy of the plugin; `manifest` replaces what the manifest says, None removes it."""
        source = self.built()["path"]
        target = self.path(directory)
        os.makedirs(target)
        library = shutil.copy(source, target)
        if manifest is not None:
            name = os.path.join(os.path.dirname(source), "llama.gist.json")
            with open(name, encoding="utf-8") as file:
                content = {**json.load(file), **manifest}
            with open(os.path.join(target, "llama.gist.json"), "w", encoding="utf-8") as file:
                json.dump(content, file)
        return library

    def test_list_says_why_a_plugin_is_refused(self):
        self.copy_of_llama("bare")
        self.copy_of_llama("other-abi", {"abi": [99, 0]})
        os.remove(self.copy_of_llama("missing", {}))
        os.makedirs(self.path("broken"))
        with open(self.path("broken/x.gist.json"), "w", encoding="utf-8") as file:
            file.write("{")
        reasons = {"bare": "manifest", "other-abi": "ABI 99.0", "missing": "missing",
                   "broken": "x.gist.json"}
        for name, reason in reasons.items():
            with self.subTest(name):
                first = self.listed("--plugin-path", self.path(name))[0]
                self.assertIn(reason, first["refused"])
                result = self.plugins("list", "--plugin-path", self.path(name))
                self.assertEqual(result.code, 0)
                self.assertIn("refused: " + first["refused"], result.out.splitlines()[0])

    def test_a_manifest_can_neither_end_gist_nor_steer_the_terminal(self):
        os.makedirs(self.path("deep"))
        self.write("deep/x.gist.json", "[" * 200_000)
        result = self.plugins("list", "--plugin-path", self.path("deep"))
        self.assertEqual((result.code, result.err), (0, ""))
        self.assertIn("nested deeper than 256", result.out.splitlines()[0])
        self.copy_of_llama("steering", {"name": "a\x1b[2J\u009b2J\nb"})
        result = self.plugins("list", "--plugin-path", self.path("steering"))
        self.assertIn(r"a\u001b[2J\u009b2J\nb ", result.out.splitlines()[0])

    def test_the_first_of_two_plugins_with_one_family_wins(self):
        first = self.copy_of_llama("first", {})
        second = self.copy_of_llama("second", {})
        path = self.path("first") + ":" + self.path("second")
        entries = self.listed("--plugin-path", path)
        self.assertEqual([entry["path"] for entry in entries[:2]], [first, second])
        self.assertIsNone(entries[0]["refused"])
        self.assertIn(first, entries[1]["refused"])

    def test_a_plugin_that_cannot_be_loaded_leaves_its_model_to_the_next_unless_it_was_asked_for(self):
        broken = self.copy_of_llama("data/gist/plugins", {})
        with open(broken, "w", encoding="utf-8") as file:
            file.write("no library\n")
        prompts = self.write("prompts.jsonl", '{"instruction": "Reverse it."}\n')
        words = ["compress", "--dry-run", "--model", LLAMA.model, "--gist-tokens", 1, "--input", prompts,
                 "--output", self.path("gists.h5")]
        result = run(*words, env=self.env)
        self.assertEqual(result.code, 0)
        (warning,) = [line for line in result.err.splitlines() if broken in line]
        self.assertIn(f"/llama.so serves LlamaForCausalLM, as {broken} can't be used: can't be loaded: ", warning)
        self.assertFails(run(*words, "--family", "llama", env=self.env), 69, f"{broken}: can't be loaded")
        self.assertFails(run(*words, "--plugin-path", os.path.dirname(broken), env=self.env), 69,
                         f"{broken}: can't be loaded")

    def test_where_lists_directories_in_search_order_with_their_origin(self):
        os.makedirs(self.path("option"))
        os.makedirs(self.path("variable"))
        os.makedirs(self.path("data/gist/plugins"))
        result = self.plugins("where", "--json", "--plugin-path", self.path("option"),
                              env={"GIST_PLUGIN_PATH": self.path("variable")})
        self.assertEqual((result.code, result.err), (0, ""))
        (where,) = records_of(result.out)
        directories = where["directories"]
        self.assertEqual([(d["path"], d["origin"], d["ignored"]) for d in directories[:3]],
                         [(self.path("option"), "--plugin-path", None),
                          (self.path("variable"), "GIST_PLUGIN_PATH", None),
                          (self.path("data/gist/plugins"), "user", None)])
        self.assertEqual({d["origin"] for d in directories[3:]}, {"installed"})
        self.assertEqual(where["devices"][0], {"name": "cpu"})
        self.assertTrue(where["no_cuda"] or where["devices"][1]["model"])  # why there is none

    def test_where_says_why_a_directory_is_ignored(self):
        result = self.plugins("where", "--plugin-path", "relative:" + self.path("none"))
        self.assertEqual((result.code, result.err), (0, ""))
        lines = result.out.splitlines()
        self.assertRegex(lines[0], r"\Arelative  \(--plugin-path\)  ignored: .*relative")
        self.assertIn(self.path("none"), lines[1])
        self.assertRegex(lines[1], "ignored: .*not exist")
        self.assertIn("device cpu", lines)
        self.assertRegex(lines[-1], r"\A(no CUDA device: .|device cuda:\d+  .)")

    def test_list_names_a_remedy_where_there_is_none(self):
        # A copy of the program far from its plugins.
        program = shutil.copy(GIST, self.directory)
        done = subprocess.run([program, "plugins", "list"], capture_output=True, text=True,
                              env=environment(self.env), check=False)
        self.assertEqual((done.returncode, done.stdout), (0, ""))
        self.assertIn("gist plugins where", done.stderr)

    def test_where_says_that_there_is_no_cuda_module(self):
        os.makedirs(self.path("prefix/bin"))
        program = shutil.copy(GIST, self.path("prefix/bin"))
        done = subprocess.run([program, "plugins", "where"], capture_output=True, text=True,
                              env=environment(self.env), check=False)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertRegex(done.stdout.splitlines()[-1],
                         rf"\Ano CUDA device: .*{self.path('prefix')}/.*gist_cuda.so does not exist")

    def test_check_says_which_check_failed_and_why(self):
        bare = self.copy_of_llama("bare")
        result = self.plugins("check", bare)
        self.assertEqual((result.code, result.err), (65, ""))
        self.assertRegex(result.out, r"(?m)^FAILED manifest: .*llama\.gist\.json")
        self.assertIn("ok abi\n", result.out)

    def test_check_fails_what_is_no_library(self):
        with open(self.path("x.so"), "w", encoding="utf-8") as file:
            file.write("hello\n")
        result = self.plugins("check", self.path("x.so"))
        self.assertEqual((result.code, result.err), (65, ""))
        self.assertIn("FAILED abi: ", result.out)

    def test_check_of_several_libraries_names_them(self):
        bare = self.copy_of_llama("bare")
        llama = self.built()["path"]
        result = self.plugins("check", llama, bare)
        self.assertEqual(result.code, 65)
        self.assertIn(f"ok {llama}: manifest\n", result.out)
        self.assertIn(f"FAILED {bare}: manifest: ", result.out)
        checks = records_of(self.plugins("check", "--json", llama, bare).out)
        self.assertEqual([(c["library"], c["check"], c["family"]) for c in checks if c["failed"]],
                         [(bare, "manifest", None)])

    def test_check_of_a_missing_library_is_a_missing_input(self):
        self.assertFails(self.plugins("check", self.path("none.so")), 66, "none.so")

    def test_wrong_arguments_are_usage_errors(self):
        self.assertFails(self.plugins(), 64, "list, where, templates or check")
        self.assertFails(self.plugins("install"), 64, "install")
        self.assertFails(self.plugins("list", "llama"), 64, "llama")
        self.assertFails(self.plugins("check"), 64, "LIBRARY")
        self.assertFails(self.plugins("check", "--plugin-path", "/x", "y.so"), 64, "--plugin-path")
        self.assertFails(self.plugins("check", "--golden", "x.safetensors", "y.so"), 64, "--checkpoint")
        self.assertFails(self.plugins("check", "--checkpoint", "x", "y.so", "z.so"), 64, "--checkpoint")


if __name__ == "__main__":
    unittest.main()
