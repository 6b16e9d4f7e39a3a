"""What every command that reads records takes as its input: compressed files, tables, and records
with their fields elsewhere."""

import gzip
import json
import os
import subprocess
import unittest

from gist_cli import FIXTURES, GIST, SANITIZED, TempDirTest, environment, records_of, run

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

    @unittest.skipIf(SANITIZED, "a sanitizer keeps freed memory")
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


class OtherFiles(InputTest):
    def test_what_holds_no_records_is_named_with_a_remedy(self):
        text = jsonl(RECORDS)
        for name, content, words in (
            ("plain.jsonl", "Say something.\nSay more.\n", (":1: ", "jq -Rc '{instruction: .}'")),
            ("table.jsonl", "instruction,output\na,b\n", (":1: ", "CSV", "csv.DictReader")),
            ("utf16.jsonl", text.encode("utf-16"), (":1: ", "UTF-16", "iconv")),
            ("utf16le.jsonl", text.encode("utf-16-le"), (":1: ", "UTF-16", "iconv")),
            ("utf16.json.gz", text.encode("utf-16"), (":1: ", "UTF-16", "iconv")),
            ("mark.jsonl", b"\xef\xbb\xbf" + text.encode(), (":1: ", "byte order mark", "sed")),
            ("nan.jsonl", text + '{"instruction": "a", "n": NaN}\n', (":4:27: ", "NaN")),
            ("pointer.jsonl", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
             (":1: ", "Git LFS", "git lfs pull")),
            ("data.parquet", b"PAR1\x15\x04", (":1: ", "Parquet", "to_json")),
            ("data.zip", b"PK\x03\x04\x14", (":1: ", "zip", "unzip -p")),
        ):
            path = self.written(name, content)
            for command, words_of_command in self.commands(path).items():
                if name == "nan.jsonl" and command == "generate":
                    continue  # it answers what came before
                if command == "compress":
                    words_of_command.append("--dry-run")
                with self.subTest(name, command=command):
                    self.assertFails(run(words_of_command), 65, path, *words)

    def test_compressed_files_under_the_wrong_name_are_told(self):
        text = jsonl(RECORDS).encode()
        for name, content, word in (("a.jsonl.gz", zstd(text), "name it *.zst"),
                                    ("a.jsonl.zst", gzip.compress(text), "name it *.gz"),
                                    ("b.jsonl.gz", text, "it is text")):
            with open(self.path(name), "wb") as file:
                file.write(content)
            with self.subTest(name):
                self.assertFails(run("evaluate", "--data", self.path(name)), 65, self.path(name), word)

    def test_zero_bytes_behind_gzip_are_padding(self):
        expected = self.outcomes(self.written("lines.jsonl", jsonl(RECORDS)))
        path = self.path("padded.jsonl.gz")
        with open(path, "wb") as file:
            file.write(gzip.compress(jsonl(RECORDS).encode()) + bytes(1000))
        self.assertEqual(self.outcomes(path), expected)


class Values(InputTest):
    def test_null_is_an_empty_input_and_no_id(self):
        """What pandas writes for an empty cell."""
        plain = [{**record, "input": ""} for record in RECORDS]
        expected = self.outcomes(self.written("plain.jsonl", jsonl(plain)))
        nulls = [{**record, "input": None} for record in RECORDS]
        self.assertEqual(self.outcomes(self.written("nulls.jsonl", jsonl(nulls))), expected)
        ids = [run("compress", "--model", MODEL, "--output", self.path(f"{i}.h5"), stdin=jsonl([record])).out
               for i, record in enumerate(({"instruction": "a", "id": None}, {"instruction": "a"}))]
        self.assertEqual(ids[0], ids[1])
        self.assertNotEqual(ids[0], "")

    def test_null_is_neither_an_instruction_nor_an_output(self):
        for field, commands in (("instruction", ("train", "compress", "generate", "evaluate")),
                                ("output", ("train", "evaluate"))):
            path = self.written(field + ".jsonl", jsonl([{**RECORDS[0], field: None}]))
            for command in commands:
                with self.subTest(field, command=command):
                    self.assertFails(run(self.commands(path)[command]), 65, path + ":1", f'"{field}" is null')

    def test_an_id_of_any_length_stays_as_it_is_spelled(self):
        number = 2**128 - 1
        result = run("compress", "--model", MODEL, "--output", self.path("out.h5"),
                     stdin=f'{{"instruction": "a", "id": {number}}}\n')
        self.assertEqual((result.code, result.err), (0, ""))
        self.assertEqual(records_of(result.out)[0]["id"], str(number))


class LongRecords(InputTest):
    def test_a_record_beyond_the_limit_is_refused_with_its_line(self):
        long_one = {"instruction": "Count.", "input": "word " * 1000, "output": "a"}
        for name, content in (("lines.jsonl", jsonl([RECORDS[0], long_one, RECORDS[1]])),
                              ("array.json", json.dumps([RECORDS[0], long_one, RECORDS[1]], indent=0)),
                              ("table.tsv", tsv([RECORDS[0], long_one | {"id": "x"}, RECORDS[1]])),
                              ("lines.jsonl.gz", jsonl([RECORDS[0], long_one, RECORDS[1]]))):
            line = 8 if name == "array.json" else 3 if name == "table.tsv" else 2
            path = self.written(name, content)
            for command, words in self.commands(path).items():
                with self.subTest(name, command=command):
                    if command == "compress":
                        self.assertFails(run(words, "--max-record-bytes", 4000, "--dry-run"), 65,
                                         f"{path}:{line}: ", "--max-record-bytes")
                    errors = self.path(f"{name}-{command}-errors")
                    result = run(words, "--max-record-bytes", 4000, "--keep-going", "--errors", errors)
                    self.assertEqual((result.code, result.err.count("\n")), (1, 1), result.err)
                    with open(errors) as file:
                        [reject] = [json.loads(each) for each in file]
                    self.assertIn(f"{path}:{line}: longer than 4000 bytes", reject["reason"])
                    self.assertEqual((reject["line"], reject["ordinal"]), (line, 1))
                    self.assertLessEqual(len(reject["record"]), 1000)
            with self.subTest(name, limit=None):
                result = run(self.commands(path)["evaluate"], "--max-record-bytes", 0, "--max-tokens", 100)
                self.assertEqual(result.code, 0, result.err)

    @unittest.skipIf(SANITIZED, "a sanitizer keeps freed memory")
    def test_neither_long_records_nor_long_arrays_are_held_in_memory(self):
        """A record of 200 MB, and an array of 100 MB, that zstd makes some kB of."""
        begin, end = '{"instruction": "', '"}'
        element = begin + "word " * 2000 + end
        peaks = {}
        for name, script in (
            ("short.jsonl", "echo '{}'"),
            ("record.jsonl", f"printf '%s' '{begin}'; head -c 200000000 /dev/zero | tr '\\0' a; echo '{end}'"),
            ("array.json", f"printf '['; yes '{element},' | head -n 10000; echo '{{}}]'"),
        ):
            path = self.path(name + ".zst")
            subprocess.run(f"({script}) | zstd -q >{path}", shell=True, check=True)
            with subprocess.Popen([GIST, "compress", "--dry-run", "--keep-going", "--model", MODEL, "--input",
                                   path, "--output", self.path("none.h5")], env=environment(),
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
                _, status, usage = os.wait4(process.pid, 0)
                process.returncode = os.waitstatus_to_exitcode(status)
            self.assertEqual(process.returncode, 1)
            peaks[name] = usage.ru_maxrss * 1024
        self.assertLess(max(peaks.values()), peaks["short.jsonl"] + 80_000_000)

    def test_a_word_without_end_is_refused_and_nothing_else(self):
        path = self.written("word.jsonl", jsonl([RECORDS[0], {"instruction": "a" * 1_100_000}, RECORDS[1]]))
        result = run(self.commands(path)["compress"], "--keep-going")
        self.assertEqual((result.code, result.out.count("\n")), (1, 2), result.err)
        self.assertIn(f"{path}:2: ", result.err)
        self.assertIn("can't be taken apart", result.err)


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
                self.assertEqual((result.code, result.err.count("\n")), (1, 1), result.err)
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
        self.assertEqual(self.generate(path, "--output", out).code, 0)
        os.remove(out)
        os.rename(out + ".settings.json", out + ".partial.settings.json")
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
