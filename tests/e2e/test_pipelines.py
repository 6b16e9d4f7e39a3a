"""examples/pipelines: each script does what its head says."""

import fcntl
import json
import os
import subprocess
import unittest

from gist_cli import FIXTURES, GIST, ROOT, TIMEOUT, TempDirTest, environment, records_of, run

MODEL = FIXTURES / "models" / "wordtasks-llama-gist"
BASE = FIXTURES / "models" / "stories260K"
PIPELINES = ROOT / "examples" / "pipelines"


def prompts(first, last):
    return [{"id": f"p{i}", "instruction": f"Say the list {i} times."} for i in range(first, last)]


def jsonl(records):
    return "".join(json.dumps(record) + "\n" for record in records)


class PipelineTest(TempDirTest):
    def setUp(self):
        super().setUp()
        self.store = self.path("my gists.h5")  # no script may take a space for the end of a word

    def written(self, name, content):
        with open(self.path(name), "w") as file:
            file.write(content)
        return self.path(name)

    def script(self, name, *args, stdin=None, code=0, env=None):
        """Runs it with the binary under test. The answer is its standard output."""
        done = subprocess.run(
            ["sh", PIPELINES / name, *map(str, args)], input=stdin, capture_output=True, text=True,
            env={**environment(env), "GIST": GIST}, timeout=TIMEOUT, cwd=self.directory)
        self.assertEqual(done.returncode, code, done.stderr)
        self.stderr = done.stderr
        return done.stdout

    def rows(self, store=None):
        result = run("inspect", store or self.store, "--rows")
        self.assertEqual(result.code, 0, result.err)
        return records_of(result.out)

    def assertSameAsOneRun(self, prompt_file):
        whole = self.path("whole.h5")
        self.assertEqual(run("compress", "--model", MODEL, "--input", prompt_file, "--output", whole).code, 0)
        self.assertEqual(self.rows(), self.rows(whole))

    def files(self):
        return sorted(os.listdir(self.directory))


class Scripts(unittest.TestCase):
    def test_shellcheck_finds_nothing_and_readme_lists_them(self):
        scripts = sorted(PIPELINES.glob("*.sh"))
        checked = subprocess.run(["shellcheck", "--shell=sh", *scripts], capture_output=True, text=True)
        self.assertEqual(checked.returncode, 0, checked.stdout + checked.stderr)
        readme = (ROOT / "README.md").read_text()
        for script in scripts:
            self.assertIn(f"(examples/pipelines/{script.name})", readme)


class Usage(PipelineTest):
    def test_without_arguments_each_script_says_how_it_is_used(self):
        for script in sorted(PIPELINES.glob("*.sh")):
            with self.subTest(script.name):
                self.assertEqual(self.script(script.name, code=64), "")
                self.assertRegex(self.stderr, rf"^usage: (sh|sbatch) {script.name} [A-Z_]+.*\n$")
                self.script(script.name, *"123456", code=64)
        self.assertEqual(self.files(), [])


class ParallelShards(PipelineTest):
    def test_shards_give_what_one_run_gives_and_are_removed(self):
        file = self.written("my prompts.jsonl", jsonl(prompts(0, 23)))
        receipts = records_of(self.script("parallel_shards.sh", MODEL, file, self.store, 5))
        self.assertEqual(sorted(receipt["ordinal"] for receipt in receipts), list(range(23)))
        self.assertEqual(self.files(), ["my gists.h5", "my prompts.jsonl"])
        self.assertSameAsOneRun(file)

    def test_repeated_it_does_nothing_where_nothing_is_new_and_leaves_nothing_behind(self):
        file = self.written("prompts.jsonl", jsonl(prompts(0, 7)))
        self.script("parallel_shards.sh", MODEL, file, self.store, 3)
        before = self.read("my gists.h5")
        modified = os.stat(self.store).st_mtime_ns
        receipts = records_of(self.script("parallel_shards.sh", MODEL, file, self.store, 3))
        self.assertEqual([receipt["status"] for receipt in receipts], ["known"] * 7)
        self.assertEqual((self.read("my gists.h5"), os.stat(self.store).st_mtime_ns), (before, modified))
        self.assertEqual(self.files(), ["my gists.h5", "prompts.jsonl"])
        self.written("prompts.jsonl", jsonl(prompts(0, 9)))
        receipts = records_of(self.script("parallel_shards.sh", MODEL, file, self.store, 3))
        self.assertEqual(sorted(receipt["status"] for receipt in receipts), ["known"] * 7 + ["stored"] * 2)
        self.assertEqual([row["id"] for row in self.rows()], [f"p{i}" for i in range(9)])
        self.assertEqual(self.files(), ["my gists.h5", "prompts.jsonl"])

    def test_what_was_merged_but_not_removed_is_no_obstacle(self):
        file = self.written("prompts.jsonl", jsonl(prompts(0, 7)))
        for shard in range(3):
            done = run("compress", "--model", MODEL, "--input", file, "--shard", f"{shard}/3", "--output",
                       f"{self.store}.shard-{shard}-of-3")
            self.assertEqual(done.code, 0, done.err)
        shards = [f"{self.store}.shard-{shard}-of-3" for shard in range(3)]
        self.assertEqual(run("merge", "--output", self.store, *shards).code, 0)
        before = self.rows()
        self.script("parallel_shards.sh", MODEL, file, self.store, 3)
        self.assertEqual(self.rows(), before)
        self.assertEqual(self.files(), ["my gists.h5", "prompts.jsonl"])

    def test_a_shard_that_fails_fails_the_run_which_can_be_repeated(self):
        text = jsonl(prompts(0, 9))
        file = self.written("prompts.jsonl", text + "no record\n")
        self.script("parallel_shards.sh", MODEL, file, self.store, 3, code=65)
        self.assertIn("prompts.jsonl:10:", self.stderr)
        self.assertFalse(os.path.exists(self.store))
        self.written("prompts.jsonl", text)
        self.script("parallel_shards.sh", MODEL, file, self.store, 3)
        self.assertSameAsOneRun(file)


class SlurmArray(PipelineTest):
    def test_tasks_take_shards_and_the_last_job_merges_them(self):
        file = self.written("prompts.jsonl", jsonl(prompts(0, 10)))
        arguments = (MODEL, file, self.store, 3)
        for task in (2, 0):
            self.script("slurm_array.sh", *arguments, env={"SLURM_ARRAY_TASK_ID": str(task)})
        self.script("slurm_array.sh", *arguments, code=66)  # a shard is missing
        self.assertIn("shard-1", self.stderr)
        requeued = [self.script("slurm_array.sh", *arguments,
                                env={"SLURM_ARRAY_TASK_ID": "1", "SLURM_CPUS_PER_TASK": "2"})
                    for _ in range(2)]
        self.assertEqual(*requeued)
        self.script("slurm_array.sh", *arguments)
        self.assertSameAsOneRun(file)


class AnswerLines(PipelineTest):
    def setUp(self):
        super().setUp()
        file = self.written("prompts.jsonl", jsonl(prompts(0, 2)))
        self.assertEqual(run("compress", "--model", MODEL, "--input", file, "--output", self.store).code, 0)

    def test_each_line_comes_out_with_its_answer(self):
        lines = ["cat, lake, red", 'a "b" \\ ä', ""]
        answers = self.script("answer_lines.sh", MODEL, self.store, "p1", stdin="\n".join(lines) + "\n")
        asked = [{"gist": "p1", "input": line} for line in lines]
        direct = run("generate", "--model", MODEL, "--store", self.store, stdin=jsonl(asked))
        expected = [[line.replace("\\", "\\\\"), record["completion"]]
                    for line, record in zip(lines, records_of(direct.out))]
        self.assertEqual([answer.split("\t") for answer in answers.splitlines()], expected)

    def test_what_gist_refuses_ends_it(self):
        self.assertEqual(self.script("answer_lines.sh", MODEL, self.store, "p7", stdin="cat\n", code=65), "")
        self.assertIn('"p7"', self.stderr)


class CompareGistTokens(PipelineTest):
    def test_a_model_for_each_k_is_trained_and_measured(self):
        records = [{**prompt, "input": "cat, lake", "output": "lake"} for prompt in prompts(0, 12)]
        train_data = self.written("train.jsonl", jsonl(records))
        eval_data = self.written("eval.jsonl", jsonl(records[:2]))
        arguments = (BASE, train_data, eval_data, self.path("models"), 2)
        table = self.script("compare_gist_tokens.sh", *arguments, env={"K": "1 3"})
        rows = [line.split("\t") for line in table.splitlines()]
        self.assertEqual(rows[0], ["k", "records", "exact match", "loss"])
        self.assertEqual([row[:2] for row in rows[1:]], [["1", "2"], ["3", "2"]])
        self.assertIn("2 of 12 records stand in", self.stderr)
        self.assertEqual(self.script("compare_gist_tokens.sh", *arguments, env={"K": "1 3"}), table)


class Nightly(PipelineTest):
    def nightly(self, records, code=0):
        file = self.written("prompts.jsonl", jsonl(records))
        return [(receipt["id"], receipt["status"])
                for receipt in records_of(self.script("nightly.sh", MODEL, file, self.store, code=code))]

    def ids(self):
        return [row["id"] for row in self.rows()]

    def test_only_new_prompts_are_compressed(self):
        self.assertEqual(self.nightly(prompts(0, 3)), [(f"p{i}", "stored") for i in range(3)])
        self.assertEqual(self.nightly(prompts(1, 5)), [("p1", "known"), ("p2", "known"),
                                                       ("p3", "stored"), ("p4", "stored")])
        self.assertEqual(self.ids(), ["p0", "p1", "p2", "p3", "p4"])
        self.assertEqual({status for _, status in self.nightly(prompts(1, 5))}, {"known"})  # nothing is new
        self.assertEqual(self.ids(), ["p0", "p1", "p2", "p3", "p4"])
        self.assertEqual(self.files(), ["my gists.h5", "my gists.h5.errors", "my gists.h5.lock", "prompts.jsonl"])

    def test_bad_prompts_are_listed_and_the_others_stored(self):
        self.nightly(prompts(0, 1))
        self.nightly([{"id": "bad"}, *prompts(0, 2), {"id": "p0", "instruction": "Another."}], code=1)
        self.assertEqual(self.ids(), ["p0", "p1"])
        errors = records_of(self.read("my gists.h5.errors").decode())
        self.assertEqual([error["line"] for error in errors], [1, 4])

    def test_what_a_killed_run_left_is_replaced(self):
        self.nightly(prompts(0, 2))
        for name in (".new", ".merged", ".new.partial"):
            self.written("my gists.h5" + name, "")
        self.nightly(prompts(0, 3))
        self.assertEqual(self.ids(), ["p0", "p1", "p2"])

    def test_one_run_at_a_time(self):
        with open(self.store + ".lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self.assertEqual(self.nightly(prompts(0, 1), code=75), [])
        self.assertFalse(os.path.exists(self.store))

    def test_a_run_that_fails_leaves_the_store_as_it_was(self):
        self.nightly(prompts(0, 2))
        before = self.read("my gists.h5")
        file = self.written("prompts.jsonl", jsonl(prompts(0, 3)))
        self.script("nightly.sh", self.path("no model"), file, self.store, code=66)
        self.assertEqual(self.read("my gists.h5"), before)


if __name__ == "__main__":
    unittest.main()
