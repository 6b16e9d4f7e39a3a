"""What every command that reads records takes as its input: compressed files, tables, and records
with their fields elsewhere."""

import gzip
import json
import os
import subprocess
import unittest

from gist_cli import FIXTURES, GIST, TempDirTest, environment, records_of, run

MODEL = FIXTURES / "models" / "wordtasks-llama-gist"
RECORDS = [
    {"id": "one", "instruction": "Leave out the first word.", "input": "cat, lake, indigo",
     "output": "lake indigo"},
    {"id": "two", "instruction": "Count the words.", "input": "", "output": "none"},
    {"id": "three", "instruction": "Say \"ä\" \\t twice.", "input": "grey, camel", "output": "ä ä"},
]


def jsonl(records):
    return "".join(json.dumps(record) + "\n" for record in records)


def tsv(records, end="\n"):
    columns = list(records[0])
    rows = [columns, *([record[column] for column in columns] for record in records)]
    return "".join("\t".join(row) + end for row in rows)


def zstd(content):
    return subprocess.run(["zstd", "-q", "-c"], input=content, stdout=subprocess.PIPE, check=True).stdout


class InputTest(TempDirTest):
    def written(self, name, content):
        """A file, compressed as its name says."""
        content = content if isinstance(content, bytes) else content.encode()
        if name.endswith(".gz"):
            content = gzip.compress(content)
        if name.endswith(".zst"):
            content = zstd(content)
        with open(self.path(name), "wb") as file:
            file.write(content)
        return self.path(name)

    def commands(self, data):
        """Each command that reads records, reading these; the results go to files named `data`-..."""
        return {
            "train": ["train", "--model", MODEL, "--data", data, "--output", data + "-model", "--steps", 1,
                      "--lr", 1e-3, "--save-every", 0, "--threads", 1],
            "compress": ["compress", "--model", MODEL, "--input", data, "--output", data + "-store.h5"],
            "generate": ["generate", "--model", MODEL, "--input", data, "--max-new-tokens", 8],
            "evaluate": ["evaluate", "--model", MODEL, "--data", data, "--max-new-tokens", 8, "--json"],
        }

    def outcomes(self, data, *options):
        """What each command makes of the data, without what differs between any two runs."""
        outcomes = {}
        for name, command in self.commands(data).items():
            result = run(command, options)
            self.assertEqual((result.code, result.err), (0, ""), name)
            outcomes[name] = result.out
        outcomes["train"] = self.read(os.path.basename(data) + "-model/model.safetensors")
        outcomes["generate"] = [record["completion"] for record in records_of(outcomes["generate"])]
        scores = json.loads(outcomes["evaluate"])["systems"][0]["all"]
        outcomes["evaluate"] = (scores["records"], scores["loss"], scores["exact_match"])
        return outcomes


class Formats(InputTest):
    def test_every_command_reads_every_format(self):
        expected = self.outcomes(self.written("lines.jsonl", jsonl(RECORDS)))
        whole = jsonl(RECORDS)
        for name, content in {
            "lines.jsonl.gz": whole,
            "lines.jsonl.zst": whole,
            "array.json.zst": json.dumps(RECORDS, indent=1),
            "table.tsv": tsv(RECORDS),
            "table.tsv.gz": tsv(RECORDS),
            "table.tsv.zst": tsv(RECORDS),
            "windows.tsv": tsv(RECORDS, "\r\n")[:-2],  # the last line has no end
            "windows.jsonl": whole.replace("\n", "\r\n"),
        }.items():
            with self.subTest(name):
                self.assertEqual(self.outcomes(self.written(name, content)), expected)

    def test_files_one_behind_the_other_are_one(self):
        lines = jsonl(RECORDS).encode().splitlines(keepends=True)
        for suffix, compress in ((".gz", gzip.compress), (".zst", zstd)):
            path = self.path("lines.jsonl" + suffix)
            with open(path, "wb") as file:
                file.write(b"".join(map(compress, lines)))
            with self.subTest(suffix):
                result = run("generate", "--model", MODEL, "--input", path, "--max-new-tokens", 1)
                self.assertEqual([record["id"] for record in records_of(result.out)],
                                 [record["id"] for record in RECORDS])

    def test_a_damaged_file_is_named(self):
        text = (jsonl(RECORDS) * 50).encode()
        for suffix, format_name, compress in ((".gz", "gzip", gzip.compress), (".zst", "zstd", zstd)):
            name = "data.jsonl" + suffix
            whole = compress(text)
            for content, word in ((whole[: len(whole) // 2], "truncated"), (whole[:-1], "truncated"),
                                  (b"", "truncated"), (text, "damaged"), (whole + b"more", "damaged"),
                                  (whole[:20] + b"\xff\x00\xff\x00" + whole[24:], "")):
                with open(self.path(name), "wb") as file:
                    file.write(content)
                commands = self.commands(self.path(name))
                commands["compress"].append("--dry-run")
                del commands["generate"]  # it answers what came before the damage
                for command, words in commands.items():
                    with self.subTest(name, command=command, word=word):
                        self.assertFails(run(words), 65, self.path(name), word, format_name)

    def test_a_compressed_file_under_another_name_is_told(self):
        for compress in (gzip.compress, zstd):
            with open(self.path("data.jsonl"), "wb") as file:
                file.write(compress(jsonl(RECORDS).encode()))
            self.assertFails(run("evaluate", "--data", self.path("data.jsonl")), 65, "data.jsonl",
                             "is compressed", "*.gz or *.zst")
            piped = self.read("data.jsonl").decode("utf-8", "surrogateescape")
            self.assertFails(run("generate", "--model", MODEL, stdin=piped), 65, "standard input",
                             "is compressed")

    @unittest.skipIf(os.environ.get("SANITIZED") == "ON", "a sanitizer keeps freed memory")
    def test_a_long_file_takes_no_more_memory_than_a_short_one(self):
        """50 MB of lines that zstd makes 5 kB of."""
        line = '{"instruction": "a"}'
        peaks = {}
        for name, size in (("short", 1000), ("long", 50_000_000)):
            path = self.path(name + ".jsonl.zst")
            subprocess.run(f"yes '{line}' | head -c {size // len(line) * (len(line) + 1)} | zstd -q >{path}",
                           shell=True, check=True)
            with subprocess.Popen([GIST, "compress", "--dry-run", "--model", MODEL, "--gist-tokens", "1",
                                   "--input", path, "--output", self.path("none.h5")], env=environment(),
                                  stdout=subprocess.DEVNULL) as process:
                _, status, usage = os.wait4(process.pid, 0)
                process.returncode = os.waitstatus_to_exitcode(status)
            self.assertEqual(process.returncode, 0)
            peaks[name] = usage.ru_maxrss * 1024
        self.assertLess(peaks["long"], peaks["short"] + 20_000_000)


class Tables(InputTest):
    def generate(self, data, *options):
        return run("generate", "--model", MODEL, "--input", data, "--max-new-tokens", 2, *options)

    def test_a_row_becomes_a_record_of_strings(self):
        path = self.written("table.tsv", 'n\tinstruction\tinput\n1.50\t"Say" \\n.\t\n')
        result = self.generate(path)
        self.assertEqual((result.code, result.err), (0, ""))
        [record] = records_of(result.out)
        self.assertEqual(list(record)[:3], ["n", "instruction", "input"])
        self.assertEqual(list(record.values())[:3], ["1.50", '"Say" \\n.', ""])

    def test_empty_lines_are_no_rows_where_there_are_columns_to_tell(self):
        path = self.written("table.tsv", "instruction\tinput\n\nCount.\ta b\n\n")
        self.assertEqual(len(records_of(self.generate(path).out)), 1)
        path = self.written("column.tsv", "text\nOnce\n\n")  # two rows, one of them empty
        self.assertEqual([record["text"] for record in records_of(self.generate(path).out)], ["Once", ""])
        path = self.written("bare.tsv", "instruction\tinput\n")
        result = self.generate(path)
        self.assertEqual((result.code, result.out, result.err), (0, "", ""))

    def test_bad_rows_are_named_or_skipped(self):
        rows = ["instruction\tinput", "Count.\ta b", "Count.", "Count.\ta\tb", "Count.\t\udcff", "\ta",
                "Count.\tc d"]
        path = self.written("table.tsv", "\n".join(rows).encode("utf-8", "surrogateescape"))
        self.assertFails(self.generate(path, "--output", self.path("out")), 65, path + ":3",
                         "expected 2 fields", "found 1")
        for command, words in self.commands(path).items():
            if command in ("train", "evaluate"):
                continue  # they want an output, too
            with self.subTest(command):
                errors = self.path("errors")
                result = run(words, "--keep-going", "--errors", errors)
                self.assertEqual((result.code, result.err.count("\n")), (1, 4), result.err)
                with open(errors) as file:
                    rejects = [json.loads(line) for line in file]
                self.assertEqual([reject["line"] for reject in rejects], [3, 4, 5, 6])
                self.assertIn("found 3", rejects[1]["reason"])
                self.assertIn("UTF-8", rejects[2]["reason"])
                self.assertEqual(rejects[1]["record"], rows[3])

    def test_bad_headers_end_every_run(self):
        for header, word in (("", "column 1"), ("instruction\t\tinput", "column 2"),
                             ("input\tinput", 'two columns "input"'), ("\ufeffinput", "byte order mark")):
            path = self.written("table.tsv", header + "\na\tb\n")
            for command, words in self.commands(path).items():
                with self.subTest(header, command=command):
                    self.assertFails(run(words, "--keep-going"), 65, path + ":1: ", word)

    def test_an_interrupted_run_goes_on(self):
        path = self.written("table.tsv", tsv(RECORDS))
        whole = self.generate(path)
        out = self.path("out.jsonl")
        with open(out + ".partial", "w") as partial:
            partial.writelines(whole.out.splitlines(keepends=True)[:2])
        result = self.generate(path, "--output", out, "--resume")
        self.assertEqual((result.code, result.err), (0, ""))
        self.assertEqual(self.read("out.jsonl").decode(), whole.out)


class Fields(InputTest):
    CHAT = [{"messages": [{"role": "system", "content": record["instruction"]},
                          {"role": "user", "content": record["input"]},
                          {"role": "assistant", "content": record["output"]}],
             "key": record["id"]} for record in RECORDS]

    def test_every_command_finds_the_fields(self):
        expected = self.outcomes(self.written("usual.jsonl", jsonl(RECORDS)))
        renamed = [{"system": r["instruction"], "instruction": r["input"], "answer": r["output"],
                    "key": r["id"]} for r in RECORDS]
        gpt = [{"key": chat["key"], "conversations": [
            {"from": {"system": "system", "user": "human", "assistant": "gpt"}[message["role"]],
             "value": message["content"]} for message in chat["messages"]]} for chat in self.CHAT]
        for name, records, fields in (
            ("renamed.jsonl", renamed, "instruction=system,input=instruction,output=answer,id=key"),
            ("chat.jsonl", self.CHAT, "instruction=messages.system,input=messages.user,"
                                      "output=messages.assistant,id=key"),
            ("gpt.jsonl", gpt, "instruction=conversations.system,input=conversations.human,"
                               "output=conversations.gpt,id=key"),
        ):
            with self.subTest(name):
                self.assertEqual(self.outcomes(self.written(name, jsonl(records)), "--fields", fields),
                                 expected)
        table = self.written("renamed.tsv", tsv(renamed))
        self.assertEqual(self.outcomes(table, "--fields", "instruction=system,input=instruction,"
                                                          "output=answer,id=key"), expected)

    def test_records_without_inputs_need_none(self):
        """FLAN's."""
        plain = [{"instruction": r["instruction"], "input": "", "output": r["output"]} for r in RECORDS]
        flan = [{"inputs": r["instruction"], "targets": r["output"]} for r in RECORDS]
        self.assertEqual(
            self.outcomes(self.written("flan.jsonl", jsonl(flan)), "--fields",
                          "instruction=inputs,output=targets"),
            self.outcomes(self.written("plain.jsonl", jsonl(plain))))

    def test_what_is_not_mapped_passes_byte_for_byte(self):
        line = '{"messages": [ {"role":"user","content":"Count."}], "n": 1.000000000000000000001}'
        result = run("generate", "--model", MODEL, "--fields", "instruction=messages.user",
                     "--max-new-tokens", 1, stdin=line + "\n")
        self.assertEqual((result.code, result.err), (0, ""))
        self.assertTrue(result.out.startswith(line[:-1]), result.out)

    def test_several_turns_are_never_dropped_without_a_word(self):
        turns = {"messages": [{"role": "user", "content": text} for text in ("Count.", "Again.")]}
        path = self.written("turns.jsonl", jsonl([turns]))
        for command, words in self.commands(path).items():
            with self.subTest(command):
                result = run(words, "--fields", "instruction=messages.user,output=messages.user.last")
                self.assertFails(result, 65, path + ":1", '2 messages of role "user"', ".last")
        result = run("generate", "--model", MODEL, "--fields", "instruction=messages.user.last",
                     "--max-new-tokens", 1, stdin=jsonl([turns]))
        self.assertEqual((result.code, result.err), (0, ""))

    def test_a_name_that_nothing_reads_is_refused(self):
        path = self.written("data.jsonl", jsonl(RECORDS))
        for command, words in self.commands(path).items():
            with self.subTest(command):
                self.assertFails(run(words, "--fields", "instruction=instruction,imput=input"), 64,
                                 "--fields", '"imput"', "instruction, input")
                self.assertFails(run(words, "--fields", "instruction"), 64, "--fields", "NAME=FIELD")

    def test_a_templates_own_fields_can_be_mapped(self):
        template = self.written("template.json", json.dumps(
            ["bos", {"text": "{task}"}, "gist", {"text": "{question} ="}]))
        data = self.written("data.jsonl", jsonl({"a": r["instruction"], "question": r["input"],
                                                 "output": r["output"]} for r in RECORDS))
        for fields, code in (("task=a", 0), ("tusk=a", 64)):
            result = run("train", "--model", MODEL, "--data", data, "--output", self.path(f"out{code}"),
                         "--steps", 1, "--lr", 1e-3, "--save-every", 0, "--template", template,
                         "--fields", fields)
            self.assertEqual(result.code, code, result.err)

    def test_completions_are_compared_wherever_they_are(self):
        completions = [{"prediction": "a", "reference": {"text": "a"}},
                       {"prediction": "b", "reference": {"text": "c"}}]
        result = run("evaluate", "--data", "-", "--json", "--fields",
                     "completion=prediction,output=reference.text", stdin=jsonl(completions))
        self.assertEqual((result.code, result.err), (0, ""))
        self.assertEqual(json.loads(result.out)["systems"][0]["all"]["exact_match"], 0.5)


if __name__ == "__main__":
    unittest.main()
