"""What is installed serves other programs: its package, its headers, its examples, from a prefix that was moved.

Environment: GIST_BUILD is the build tree. The programs are built by users/CMakeLists.txt.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ["GIST_BUILD"])
MODEL = ROOT / "examples/models/wordtasks-llama-gist"
ASK = ["Say the words from the last to the first.", "cat, lake, red", "camel, axe, apple"]
ANSWERS = ["red lake cat", "apple axe camel"]


def output_of(*command, **options):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, **options)
    if done.returncode != 0:
        raise AssertionError(f"{command[0]} ended with {done.returncode}:\n{done.stdout[-4000:]}{done.stderr[-4000:]}")
    return done.stdout


class Installed(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = Path(tempfile.mkdtemp(prefix="gist-install-"))
        output_of("cmake", "--install", BUILD, "--prefix", cls.directory / "first")
        # A prefix may be moved: nothing in it knows where it was.
        (cls.directory / "first").rename(cls.directory / "moved")
        cls.prefix = cls.directory / "moved"
        cls.library = next(cls.prefix.rglob("libgist.so"))

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.directory)

    def test_programs_are_built_from_the_package_alone(self):
        users = self.directory / "users"
        output_of("cmake", "-S", ROOT / "tests/install/users", "-B", users, "-G", "Ninja", f"-DGIST_SOURCE={ROOT}",
                  f"-DCMAKE_PREFIX_PATH={self.prefix}", "-DCMAKE_UNITY_BUILD=ON", "-DCMAKE_UNITY_BUILD_BATCH_SIZE=12",
                  *(f"-DCMAKE_{language}_COMPILER_LAUNCHER=ccache" for language in ("C", "CXX") if shutil.which("ccache")))
        output_of("cmake", "--build", users)
        answers = output_of(users / "answer", MODEL, *ASK, cwd=users)
        self.assertEqual(answers.splitlines(), ANSWERS)
        # The static library is part of the program, so that it is told where plugins are.
        plugins = self.library.parent / "gist/plugins"
        answers = output_of(users / "answer_in_cpp", MODEL, plugins, ASK[1], ASK[0])
        self.assertEqual(answers.splitlines(), ANSWERS[:1])
        self.assertIn("gist", output_of(users / "bin/gist", "--version"))

    def test_the_example_in_python_answers(self):
        answers = output_of(sys.executable, ROOT / "examples/embed/answer.py", MODEL, *ASK,
                            env={**os.environ, "LIBGIST": str(self.library)})
        self.assertEqual(answers.splitlines(), ANSWERS)

    def test_pkg_config_finds_the_c_interface(self):
        program = self.directory / "answer"
        flags = output_of("pkg-config", "--cflags", "--libs", "gist",
                          env={**os.environ, "PKG_CONFIG_PATH": str(self.library.parent / "pkgconfig")}).split()
        output_of("cc", "-std=c99", ROOT / "examples/embed/answer.c", *flags, f"-Wl,-rpath,{self.library.parent}",
                  "-o", program)
        self.assertEqual(output_of(program, MODEL, *ASK).splitlines(), ANSWERS)

    def sdk_environment(self):
        return {**os.environ, "PATH": f"{self.prefix / 'bin'}:{os.environ['PATH']}", "GIST_SOURCE": str(ROOT),
                "PKG_CONFIG_PATH": str(self.library.parent / "pkgconfig"), "CMAKE_PREFIX_PATH": str(self.prefix),
                **({f"CMAKE_{language}_COMPILER_LAUNCHER": "ccache" for language in ("C", "CXX")}
                   if shutil.which("ccache") else {})}

    def test_the_tutorial_leads_from_an_empty_folder_to_a_trained_model(self):
        (tutorial,) = self.prefix.rglob("TUTORIAL.md")
        self.assertTrue((tutorial.parent / "LICENSE").is_file())
        folder = self.directory / "tutorial"
        folder.mkdir()
        script = "set -e\n"
        for language, name, text in re.findall(r"^```(\w+) ?(\S*)\n(.*?)^```$", tutorial.read_text(), re.M | re.S):
            if name:
                (folder / name).write_text(text)
            elif language == "sh":
                script += text
        output = output_of("sh", "-c", script, cwd=folder, env=self.sdk_environment())
        self.assertNotIn("FAILED", output)
        self.assertEqual(output.count("ok gist invariant of stablelm"), 2)
        self.assertIn(f"{folder / 'stablelm.so'}", output)  # of the list
        self.assertIn('"status":"stored"', output)
        for module in (folder / "stablelm.so", folder / "build/plugins/stablelm.so"):
            exported = output_of("nm", "--dynamic", "--defined-only", "--format=posix", module).splitlines()
            self.assertEqual([line.split()[0] for line in exported if line.split()[1] != "A"], ["gist_plugin"])
        self.assertEqual((folder / "build/plugins/stablelm.gist.json").read_text().count('"version": "0"'), 1)

    def test_a_family_in_c_is_built_by_a_project_without_cpp(self):
        folder = self.directory / "family_in_c"
        folder.mkdir()
        shutil.copy(ROOT / "tests/fixtures/plugins/first_abi.c", folder)
        (folder / "check.json").write_text('{"first": {"architectures": ["FirstForCausalLM"], "layers": 2}}')
        (folder / "CMakeLists.txt").write_text(
            "cmake_minimum_required(VERSION 3.25)\nproject(first VERSION 2.3 LANGUAGES C)\n"
            "find_package(gist-sdk 1.0 REQUIRED)\ngist_add_plugin(first_abi SOURCES first_abi.c FAMILIES first\n"
            "  ARCHITECTURES FirstForCausalLM CHECK check.json)\n")
        environment = self.sdk_environment()
        output_of("cmake", "-S", folder, "-B", folder / "build", env=environment)
        output_of("cmake", "--build", folder / "build", env=environment)
        listed = output_of("gist", "plugins", "list", "--plugin-path", folder / "build/plugins", env=environment)
        self.assertRegex(listed, r"(?m)^first_abi 2\.3  families first ")

    def test_the_package_of_the_sdk_has_the_abis_version(self):
        script = self.directory / "versions.cmake"
        script.write_text("foreach(version 1.9 2.0 0.1)\n  find_package(gist-sdk ${version} QUIET)\n"
                          "  message(STATUS \"${version} ${gist-sdk_FOUND} ${gist-sdk_CONSIDERED_VERSIONS}\")\n"
                          "endforeach()\n")
        answers = output_of("cmake", "-P", script, env=self.sdk_environment())
        self.assertEqual(answers.splitlines(), [f"-- {version} 0 1.0" for version in ("1.9", "2.0", "0.1")])

    def test_the_header_is_c99_and_cpp17(self):
        header = self.prefix / "include/gist/gist.h"
        compilers = [name for name in ("gcc", "clang") if shutil.which(name)]
        for compiler in compilers:
            for language, standard in (("c", "c99"), ("c++", "c++17")):
                with self.subTest(compiler=compiler, standard=standard):
                    output_of(compiler, "-x", language, f"-std={standard}", "-Wall", "-Wextra", "-Werror", "-pedantic",
                              "-fsyntax-only", header)

    def test_the_library_exports_what_the_header_declares(self):
        header = (self.prefix / "include/gist/gist.h").read_text()
        declared = set(re.findall(r"^GIST_API [^;(]*?\b(gist_\w+)\(", header, re.MULTILINE))
        self.assertIn("gist_generate", declared)
        symbols = output_of("nm", "--dynamic", "--defined-only", "--format=posix", self.library).splitlines()
        exported = {line.split()[0].split("@")[0] for line in symbols if line.split()[1] != "A"}
        self.assertEqual(exported, declared)

    def test_structs_are_laid_out_as_before(self):
        program = self.directory / "layout"
        output_of("cc", f"-I{self.prefix / 'include'}", ROOT / "tests/install/c_layout.c", "-o", program)
        self.assertEqual(output_of(program), (ROOT / "tests/install/c_layout.txt").read_text(),
                         "the layout of a struct changed: programs that are built already would break")


if __name__ == "__main__":
    unittest.main()
