"""Where programs and plugins look for libraries: never in the working directory."""

import re
import subprocess
import tempfile
import unittest
from pathlib import Path

from gist_cli import GIST

BUILD = Path(GIST).resolve().parents[1]
BUILT = [BUILD / name for name in ("bin", "lib", "libexec")]


def is_elf(path):
    with path.open("rb") as file:
        return file.read(4) == b"\x7fELF"


def elf_files(directories):
    for directory in directories:
        for path in sorted(directory.rglob("*")):
            if path.is_file() and not path.is_symlink() and is_elf(path):
                yield path


def search_path(path):
    """The entries of the file's RUNPATH or RPATH."""
    text = subprocess.run(["readelf", "--dynamic", "--wide", str(path)], check=True, capture_output=True,
                          text=True).stdout
    return [entry for found in re.findall(r"\((?:RUNPATH|RPATH)\).*\[(.*)\]", text) for entry in found.split(":")]


class LibraryPaths(unittest.TestCase):
    def check(self, directories):
        files = list(elf_files(directories))
        self.assertIn("gist", [path.name for path in files])
        for path in files:
            for entry in search_path(path):
                with self.subTest(file=path.name, entry=entry):
                    self.assertRegex(entry, r"^(/|\$ORIGIN(/|$))")

    def test_of_what_is_built(self):
        self.check(BUILT)

    def test_of_what_is_installed(self):
        with tempfile.TemporaryDirectory(prefix="gist-e2e-") as prefix:
            subprocess.run(["cmake", "--install", BUILD, "--prefix", prefix], check=True, capture_output=True)
            self.check([Path(prefix)])


if __name__ == "__main__":
    unittest.main()
