"""Headers that are installed include all that they need, need nothing that isn't installed, and show code that compiles.

Environment: GIST_BUILD is the build tree.
"""
import os
import re
import shutil
import subprocess
import tempfile
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

BUILD = Path(os.environ["GIST_BUILD"])
COMPILERS = [name for name in ("g++", "clang++") if shutil.which(name)]
# It takes longer to compile than all of gist's headers together, so that it is compiled once.
JSON = "<nlohmann/json.hpp>"


class Headers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = Path(tempfile.mkdtemp(prefix="gist-headers-"))
        subprocess.run(["cmake", "--install", BUILD, "--prefix", cls.directory / "prefix"], check=True,
                       stdout=subprocess.DEVNULL)
        cls.folder = cls.directory / "prefix/include"
        root = cls.folder / "gist"
        # By the names that programs, and the headers themselves, include them by.
        cls.headers = {("gist/" if path.parent == root else "") + str(path.relative_to(root)): path
                       for path in root.rglob("*.h*")}

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.directory)

    def included(self, name):
        return {a + b for a, b in re.findall(r'^\s*#\s*include\s*(?:(<[^>]+>)|"([^"]+)")', self.headers[name].read_text(),
                                             re.MULTILINE)}

    def closure(self, name):
        """A header's name, and those of all that it includes, or that these do."""
        found, left = set(), [name]
        while left:
            each = left.pop()
            if each not in found:
                found.add(each)
                left += self.included(each) if each in self.headers else []
        return found

    def chains(self, names, closures):
        """All names in lists, as few as a simple search finds, in which each header comes before one whose closure
        contains its own. Compiled in this order, each meets only what it includes itself."""
        left = sorted(names, key=lambda name: (-len(closures[name]), name))
        while left:
            chain = [left.pop(0)]
            for name in list(left):
                if closures[name] <= closures[chain[0]]:
                    chain.insert(0, name)
                    left.remove(name)
            yield chain

    def compiles(self, compiler, language, code, *options):
        done = subprocess.run([compiler, "-x", language, f"-I{self.folder}", f"-I{self.folder / 'gist'}", *options, "-"],
                              input=code, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, f"{compiler}: {code}\n{done.stderr[:4000]}")

    def compiled_json(self, compiler):
        """Options that give a compiler JSON, compiled, for code that includes it anyway."""
        header = self.directory / compiler / "json.hpp"
        if not header.exists():
            header.parent.mkdir()
            header.write_text(f"#include {JSON}\n")
            subprocess.run([compiler, "-std=c++20", "-x", "c++-header", header, "-o", f"{header}.gch"], check=True)
        return ["-include", header]

    def all_compile(self, calls):
        """Compiles as many at a time as there are processors."""
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for result in [pool.submit(self.compiles, *call) for call in calls]:
                result.result()

    def test_each_compiles_alone(self):
        closures = {name: self.closure(name) for name in self.headers}
        heavy = {name for name, all_of_it in closures.items() if JSON in all_of_it}
        calls = []
        for compiler in COMPILERS:
            for names, options in ((heavy, self.compiled_json(compiler)), (closures.keys() - heavy, [])):
                for chain in self.chains(names, closures):
                    code = "".join(f"#include <{name}>\n" for name in chain)
                    calls.append((compiler, "c++", code, "-std=c++20", "-fsyntax-only", *options))
        self.all_compile(calls)

    def test_what_serves_no_program_is_not_installed(self):
        # What cli/ includes serves programs, too.
        used = set()
        roots = [name for name in self.headers if name.startswith("gist/")]
        for path in (Path(__file__).resolve().parents[2] / "cli").rglob("*.[hc]*"):
            roots += [name for name in re.findall(r'^#include "([^"]+)"', path.read_text(), re.MULTILINE)
                      if not name.startswith("cli/")]
        for name in roots:
            self.assertTrue(name in self.headers, f"{name} isn't installed")
            used |= self.closure(name)
        self.assertEqual(set(self.headers) - used, set())

    def test_the_code_in_their_comments_compiles(self):
        calls, shown = [], []
        for name, path in sorted(self.headers.items()):
            if not name.startswith("gist/"):
                continue
            about = re.split(r"^#", path.read_text(), maxsplit=1, flags=re.MULTILINE)[0]
            lines = re.findall(r"^(?://| \*) {5}( *\S.*)$", about, re.MULTILINE)
            includes = "\n".join(line for line in lines if line.startswith("#include"))
            code = "\n".join(line for line in lines if line != "..." and not line.startswith("#include"))
            if not code:
                continue
            shown.append(name)
            is_c = about.startswith("/*")
            at_file_scope = code.startswith("class")
            body = code if at_file_scope else f"void example(void) {{\n{code}\n}}"
            space = "" if is_c else f"using namespace {'gist::sdk' if name.endswith('.hpp') else 'gist'};\n"
            program = f"{'#include <stdio.h>' if is_c else ''}\n#include <{name}>\n{includes}\n{space}{body}\n"
            warnings = ["-Wall", "-Wextra", "-Werror", "-Wno-missing-field-initializers", "-fsyntax-only"]
            if is_c:
                calls.append(("gcc", "c", program, "-std=c99", *warnings))
            else:
                json = self.compiled_json("g++") if JSON in self.closure(name) else []
                of_plugins = ['-DGIST_PLUGIN_NAME="shown"', '-DGIST_PLUGIN_VERSION="1"']  # as gist_add_plugin says
                calls.append(("g++", "c++", program, "-std=c++20", *warnings, "-Wno-unused", *of_plugins, *json))
        self.assertEqual(shown, ["gist/compress_prompts.h", "gist/compress_store.h", "gist/evaluation_run.h",
                                 "gist/gist.h", "gist/gist_model.h", "gist/plugin.hpp"])
        self.all_compile(calls)


if __name__ == "__main__":
    unittest.main()
