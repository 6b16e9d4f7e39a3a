"""The options layer, which all commands share."""

import json
import os
import re
import unittest

from gist_cli import FIXTURES, TempDirTest, run

COMMANDS = ["train", "compress", "generate", "evaluate", "inspect", "merge", "plugins"]
COMPRESS = ["compress", "--model", "m", "--output", "o.h5"]


def printed_config(*options, env=None):
    result = run(COMPRESS, *options, "--print-config", env=env)
    if result.code != 0:
        raise AssertionError(result.err)
    return json.loads(result.out)


class Help(TempDirTest):
    def test_every_command_explains_itself_within_80_columns(self):
        for command in COMMANDS:
            with self.subTest(command):
                result = run(command, "--help")
                self.assertEqual((result.code, result.err), (0, ""))
                self.assertTrue(result.out.startswith(f"usage: gist {command} "))
                self.assertLessEqual(max(map(len, result.out.splitlines())), 80)

    def test_overview_lists_every_command_within_80_columns(self):
        result = run("--help")
        self.assertEqual((result.code, result.err), (0, ""))
        self.assertLessEqual(max(map(len, result.out.splitlines())), 80)
        for command in COMMANDS:
            self.assertIn(f"\n  {command} ", result.out)

    def test_every_printed_option_is_an_option_of_the_command(self):
        for command in COMMANDS:
            text = run(command, "--help").out
            options = re.findall(r"^  (?:-., |    )(--[a-z0-9-]+)", text, re.MULTILINE)
            self.assertTrue(options)
            for option in options:
                with self.subTest(f"{command} {option}"):
                    self.assertNotIn("has no option", run(command, option).err)

    def test_every_command_shows_an_example_and_the_environment(self):
        for command in COMMANDS:
            with self.subTest(command):
                text = run(command, "--help").out
                self.assertIn("\nexample:\n  ", text)
                self.assertIn(f"gist {command} ", text.split("example:")[1])
                self.assertIn("GIST_PLUGIN_PATH", text)

    def test_help_has_three_spellings(self):
        whole = run("compress", "--help")
        for words in (["compress", "-h"], ["help", "compress"], ["compress", "--model", "m", "-h"]):
            with self.subTest(words):
                self.assertEqual(run(*words), whole)
        for word in ("-h", "help"):
            self.assertEqual(run(word), run("--help"))
        self.assertFails(run("help", "compres"), 64, "compress?")

    def test_version(self):
        result = run("--version")
        self.assertEqual(result.code, 0)
        self.assertRegex(result.out, r"\Agist \d+\.\d+\.\d+\n\Z")
        self.assertEqual(run("-V"), result)


class CommandLine(TempDirTest):
    def test_no_arguments_is_a_usage_error_that_shows_the_overview(self):
        result = run()
        self.assertEqual(result.code, 64)
        self.assertIn("usage: gist COMMAND", result.out + result.err)

    def test_unknown_command_is_a_usage_error(self):
        self.assertFails(run("compres"), 64, '"compres"; compress?')
        self.assertFails(run("squash"), 64, '"squash" (gist --help lists them)')
        self.assertFails(run("--model", "m"), 64, "--model", "a command comes first")

    def test_unknown_option_is_a_usage_error(self):
        for command in COMMANDS:
            with self.subTest(command):
                self.assertFails(run(command, "--no-such-option"), 64, "no-such-option")

    def test_abbreviated_option_is_a_usage_error(self):
        self.assertFails(run(COMPRESS, "--gist-token", "1"), 64, "gist-token")

    def test_a_misspelt_option_is_named_with_the_one_that_is_near(self):
        for given, meant in [("--gist-token", "--gist-tokens"), ("--gist_tokens=1", "--gist-tokens"),
                             ("-thraeds", "--threads"), ("--data", "--input")]:
            with self.subTest(given):
                self.assertFails(run(COMPRESS, given, "1"), 64,
                                 f"no option {given.split('=')[0]}; {meant}?", "gist compress --help")
        self.assertFails(run("train", "--input", "x"), 64, "--data?")
        self.assertFails(run(COMPRESS, "-x"), 64, "no option -x (")

    def test_letters_are_short_for_options(self):
        given = run("compress", "-m", "m", "-oo.h5", "-i", "i", "-v", "--print-config")
        self.assertEqual(json.loads(given.out), printed_config("--input", "i", "--verbose"))
        config = json.loads(run("train", "-i", "d", "-q", "--print-config").out)
        self.assertEqual((config["data"], config["quiet"]), ("d", True))
        self.assertFails(run(COMPRESS, "-qv"), 64, "--quiet and --verbose")

    def test_an_argument_is_the_input_of_commands_that_have_one(self):
        for command, option in [("compress", "input"), ("generate", "input"), ("evaluate", "data"),
                                ("train", "data")]:
            with self.subTest(command):
                for argument in ("records.jsonl", "-"):
                    config = json.loads(run(command, argument, "--print-config").out)
                    self.assertEqual(config[option], argument)
                self.assertFails(run(command, "a", "b"), 64, f"--{option}", '"a" and "b"')
                self.assertFails(run(command, f"--{option}", "a", "b"), 64, '"a" and "b"')

    def test_option_given_twice_is_a_usage_error(self):
        self.assertFails(run(COMPRESS, "--gist-tokens", "1", "--gist-tokens", "2"), 64,
                         "--gist-tokens")
        self.assertFails(run(COMPRESS, "--force", "--force"), 64, "--force")

    def test_list_option_may_be_given_twice(self):
        config = printed_config("--plugin-path", "/a", "--plugin-path", "/b")
        self.assertEqual(config["plugin-path"], ["/a", "/b"])

    def test_option_without_its_value_is_a_usage_error(self):
        self.assertFails(run("compress", "--output"), 64, "--output needs a value, STORE")
        self.assertFails(run("compress", "--output="), 64, "--output needs a value, STORE")
        self.assertFails(run("compress", "-o"), 64, "--output needs a value, STORE")
        for following in ("--force", "-q"):
            self.assertFails(run("compress", "--output", following), 64, "--output=VALUE")
        self.assertEqual(printed_config("--input=--force")["input"], "--force")

    def test_value_for_a_flag_is_a_usage_error(self):
        self.assertFails(run(COMPRESS, "--force=yes"), 64, "--force", "takes no value")

    def test_missing_option_is_a_usage_error(self):
        self.assertFails(run("merge", "in.h5"), 64, "--output STORE")

    def test_number_must_be_a_whole_number_in_range(self):
        for value in ["5000", "-1", "1.5", "0x10", "many", "99999999999999999999", "1 ", ""]:
            with self.subTest(value):
                result = run("compress", "--output", self.path("o.h5"), "--model",
                             FIXTURES / "models" / "wordtasks-llama-gist", f"--threads={value}")
                self.assertFails(result, 64, "threads")
                self.assertEqual(os.listdir(self.directory), [])


class Precedence(TempDirTest):
    def config(self, values):
        with open(self.path("config.json"), "w", encoding="utf-8") as file:
            json.dump(values, file)
        return self.path("config.json")

    def test_default_then_config_then_environment_then_command_line(self):
        config = self.config({"batch-tokens": 1})
        env = {"GIST_BATCH_TOKENS": "2"}
        value = "batch-tokens"
        self.assertGreater(printed_config()[value], 3)
        self.assertEqual(printed_config("--config", config)[value], 1)
        self.assertEqual(printed_config("--config", config, env=env)[value], 2)
        self.assertEqual(
            printed_config("--config", config, "--batch-tokens", "3", env=env)[value], 3)

    def test_a_recipe_stands_below_all_that_is_given(self):
        def config(*options, env=None):
            return json.loads(run("train", "--recipe", *options, "--print-config", env=env).out)

        distill = config("distill")
        self.assertEqual((distill["teacher"], distill["adapter"]), ("self", "lora"))
        self.assertEqual(config("paper")["teacher"], None)
        self.assertEqual(config("distill", "--adapter", "none")["adapter"], "none")
        self.assertEqual(config("distill", env={"GIST_WARMUP": "7"})["warmup"], 7)
        self.assertEqual(config("distill", "--teacher-logprobs", "f")["teacher"], None)
        self.assertFails(run("train", "--recipe", "other"), 64, "--recipe", "paper or distill", "other")

    def test_the_environment_names_the_config(self):
        env = {"GIST_CONFIG": self.config({"batch-tokens": 7})}
        self.assertEqual(printed_config(env=env)["batch-tokens"], 7)
        self.assertEqual(printed_config("--batch-tokens", "8", env=env)["batch-tokens"], 8)
        missing = {"GIST_CONFIG": self.path("none.json")}
        self.assertFails(run(COMPRESS, "--print-config", env=missing), 66, "none.json")

    def test_every_option_has_a_name_in_the_environment(self):
        for command in ("train", "evaluate"):
            options = re.findall(r"^  (?:-., |    )--([a-z0-9-]+) ?(\S*)", run(command, "-h").out,
                                 re.MULTILINE)
            for name, value in options:
                if value or name in ("help", "print-config"):
                    continue  # flags tell a wrong value apart
                with self.subTest(f"{command} {name}"):
                    env = {"GIST_" + name.upper().replace("-", "_"): "perhaps"}
                    self.assertFails(run(command, "--print-config", env=env), 64, f"--{name}",
                                     "perhaps")

    def test_flag_of_the_environment_overrides_the_config(self):
        config = self.config({"force": True})
        self.assertIs(printed_config("--config", config)["force"], True)
        env = {"GIST_FORCE": "false"}
        self.assertIs(printed_config("--config", config, env=env)["force"], False)
        self.assertIs(printed_config("--config", config, "--force", env=env)["force"], True)

    def test_flag_of_the_environment_is_true_or_false(self):
        result = run(COMPRESS, "--print-config", env={"GIST_FORCE": "perhaps"})
        self.assertFails(result, 64, "--force", "perhaps")

    def test_empty_environment_variable_counts_as_absent(self):
        self.assertEqual(printed_config(env={"GIST_BATCH_TOKENS": ""}), printed_config())

    def test_printed_config_reads_back_as_the_same(self):
        given = ["--gist-tokens", "2", "--plugin-path", "/a", "--plugin-path", "/b", "--force",
                 "--input", "a \"quoted\" näme.jsonl"]
        printed = printed_config(*given)
        self.assertEqual(printed["gist-tokens"], 2)
        self.assertEqual(printed["input"], "a \"quoted\" näme.jsonl")
        again = run("compress", "--config", self.config(printed), "--print-config")
        self.assertEqual(json.loads(again.out), printed)

    def test_config_with_an_unknown_option_is_refused(self):
        result = run(COMPRESS, "--config", self.config({"colour": 1}))
        self.assertFails(result, 65, "colour", self.path("config.json"))

    def test_config_with_a_value_of_another_kind_is_refused(self):
        result = run(COMPRESS, "--config", self.config({"gist-tokens": {"k": 1}}))
        self.assertFails(result, 65, "gist-tokens")

    def test_config_that_is_no_json_object_is_refused(self):
        self.assertFails(run(COMPRESS, "--config", self.config([1])), 65)
        with open(self.path("config.json"), "w", encoding="utf-8") as file:
            file.write("{")
        self.assertFails(run(COMPRESS, "--config", self.path("config.json")), 65,
                         self.path("config.json"))

    def test_a_shard_is_two_numbers_without_more(self):
        for shard in ("0/-4", "0/ 4", "0/+4", "-1/4", " 0/4", "+0/4", "4/4", "0/0", "0", "/", "0/4/8", "0/4 ",
                      "0/0x4", "0/18446744073709551617", "18446744073709551616/2", ""):
            with self.subTest(shard):
                result = run("compress", "--model", FIXTURES / "models" / "wordtasks-llama-gist", "--output",
                             self.path("out.h5"), "--shard=" + shard)
                self.assertFails(result, 64, "--shard")
                self.assertEqual(os.listdir(self.directory), [])

    def test_missing_config_is_a_missing_input(self):
        self.assertFails(run(COMPRESS, "--config", self.path("none.json")), 66, "none.json")


if __name__ == "__main__":
    unittest.main()
