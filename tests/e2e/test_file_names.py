"""Names of files are bytes: they need be no UTF-8, and may hold what would steer a terminal."""

import json
import unittest

from gist_cli import FIXTURES, TempDirTest, jsonl, run

MODEL = FIXTURES / "models" / "wordtasks-llama-gist"
RECORDS = [{"id": "one", "instruction": "Count the words.", "input": "a b", "output": "2"}]


class FileNames(TempDirTest):
    BYTES = "\udcff\udcfe"  # two bytes that are no UTF-8

    def compress(self, name, *options):
        return run("compress", "--model", MODEL, "--output", self.path(name), *options, stdin=jsonl(RECORDS))

    def test_a_known_store_may_have_any_name(self):
        known = self.path(self.BYTES + ".h5")
        self.assertEqual(self.compress(self.BYTES + ".h5").code, 0)
        result = self.compress("new.h5", "--known", known)
        self.assertEqual((result.code, result.err), (0, ""))
        self.assertEqual(json.loads(result.out)["status"], "known")
        again = self.compress("new.h5", "--known", known, "--resume")
        self.assertEqual((again.code, again.out), (0, result.out), again.err)

    def test_reports_and_data_may_have_any_name(self):
        data = self.write(self.BYTES + ".jsonl", jsonl(RECORDS))
        report = self.path(self.BYTES + ".html")
        for command in (["evaluate", "--model", MODEL, "--data", data, "--max-new-tokens", 1, "--json"],
                        ["train", "--model", MODEL, "--data", data, "--output", self.path(self.BYTES),
                         "--steps", 1, "--lr", 1e-3]):
            with self.subTest(command[0]):
                result = run(command, "--report", report)
                self.assertEqual(result.code, 0, result.err)
                self.assertIn("\ufffd", self.read(self.BYTES + ".html").decode())

    def test_options_are_printed_with_what_json_can_say(self):
        result = run("train", "--print-config", "--data", self.path(self.BYTES))
        self.assertEqual(result.code, 0, result.err)
        self.assertIn("\ufffd\ufffd", json.loads(result.out)["data"])
        self.assertIn("no UTF-8", result.err)

    def test_a_message_shows_a_name_in_one_line_that_steers_nothing(self):
        result = run("generate", "--model", MODEL, "--input", self.path("a\n\x1b[2J\u009b\udcff"))
        self.assertFails(result, 66, r"a\n\u001b[2J\u009b\xff: No such file")


if __name__ == "__main__":
    unittest.main()
