"""gist train --report: what the page says, and when it is drawn. tests/browser looks at it."""

import base64
import json
import os
import re
import signal
import time
import unittest
from pathlib import Path

from families import for_each_family
from gist_cli import jsonl, records_of, run
from training import TrainTest, spoil, tree, wordtasks


class Report(TrainTest):
    def page(self, name="page.html"):
        return self.read(name).decode()

    def wait_for_step(self, process, output):
        metrics = Path(self.path(output)) / "metrics.jsonl"
        while not metrics.exists() or metrics.stat().st_size == 0:
            self.assertIsNone(process.poll())
            time.sleep(0.01)

    def column(self, page, table, index):
        """The exact numbers of a table's column: the first of each cell."""
        body = page.split(f'<table id="{table}"', 1)[1].split("<tbody>", 1)[1].split("</tbody>", 1)[0]
        rows = [re.findall(r"<t[hd].*?</t[hd]>", row) for row in re.findall("<tr>.*?</tr>", body)]
        return [float(re.search(r'<data value="(.*?)"', row[index])[1]) for row in rows]

    def test_the_page_has_the_numbers_of_the_metrics(self):
        options = {"eval_data": self.write("held_out.jsonl", jsonl(wordtasks(40, 60))), "eval_every": 4,
                   "report": self.path("page.html")}
        self.trained(**options)
        page = self.page()
        lines = [json.loads(line) for line in self.read("out/metrics.jsonl").splitlines()]
        steps = [line for line in lines if "loss" in line]
        self.assertEqual(len(steps), 8)
        for index, key in enumerate(("step", "loss", "lr", "grad_norm")):
            self.assertEqual(self.column(page, "steps-table", index), [step[key] for step in steps])
        for got, step in zip(self.column(page, "steps-table", 4), steps):
            self.assertAlmostEqual(got, step["tokens"] / step["seconds"], delta=1e-6 * got)
        self.assertEqual(self.column(page, "held-out-table", 1),
                         [line["eval_loss"] for line in lines if "eval_loss" in line])
        self.assertIn("</strong>, finished.", page)
        command = "gist " + " ".join(self.arguments(**options)).replace(" --", " \\\n  --")
        self.assertIn(f"<code>{command}</code>", page)
        data = self.json_in("out", "training.json")
        self.assertIn(data["data_sha256"], page)
        self.assertIn(data["base_sha256"], page)

    def test_the_machines_threads_are_those_that_the_run_may_use(self):
        one = min(os.sched_getaffinity(0))
        result = self.train(report=self.path("page.html"), preexec=lambda: os.sched_setaffinity(0, {one}))
        self.assertEqual(result.code, 0, result.err)
        self.assertRegex(self.page(), r"[>,] ?1 thread, ")

    def test_a_stopped_run_has_its_page_and_a_resumed_one_a_new_one(self):
        options = {"steps": 200, "batch_records": 1, "report": self.path("page.html")}
        with self.start(**options) as process:
            self.wait_for_step(process, "out")
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=60)
        self.assertEqual(process.returncode, -signal.SIGINT)
        stopped = self.page()
        step = len(self.metrics())
        self.assertIn(f'Step <data value="{step}">', stopped)
        self.assertIn("</strong>, stopped by a signal.", stopped)
        self.assertEqual(self.train(resume=True, **options).code, 0)
        resumed = self.page()
        self.assertIn('Step <data value="200">', resumed)
        self.assertIn("</strong>, finished.", resumed)

    def test_a_finished_run_is_drawn_by_resume(self):
        self.trained()
        result = self.train(resume=True, report=self.path("page.html"))
        self.assertEqual(result.code, 0, result.err)
        self.assertIn("</strong>, finished.", self.page())

    def test_checkpoints_draw_it_anew(self):
        options = {"steps": 4000, "batch_records": 1, "save_every": 2,
                   "report": self.path("page.html")}
        with self.start(**options) as process:
            while not Path(self.path("page.html")).exists() or "learning-rate" not in self.page():
                self.assertIsNone(process.poll())
                time.sleep(0.01)
            self.assertIn("</strong>, running.", self.page())
            process.kill()
            process.communicate(timeout=60)

    def test_a_page_that_cant_be_replaced_any_more_doesnt_stop_the_run(self):
        options = {"steps": 100, "batch_records": 1, "save_every": 2,
                   "report": self.path("page.html")}
        with self.start(**options) as process:
            self.wait_for_step(process, "out")
            self.write("page.html.new", "mine")
            os.replace(self.path("page.html.new"), self.path("page.html"))
            _, err = process.communicate(timeout=60)
        self.assertIn("the report is not drawn", err)
        self.assertEqual(process.returncode, 73, err)  # the last one is an error, after all is saved
        self.assertEqual(len(self.metrics()), 100)
        self.assertTrue(os.path.exists(self.path("out/training.json")))
        os.remove(self.path("page.html"))
        self.assertEqual(self.train(resume=True, **options).code, 0)
        self.assertIn("</strong>, finished.", self.page())

    def test_a_run_that_diverges_leaves_its_page(self):
        self.trained("good", steps=3, lr=1e-3)
        spoil(self.path("good/model.safetensors"), "model.norm.weight", 0, 3e38)  # finite, but not for long
        result = self.train(model=self.path("good"), report=self.path("page.html"))
        self.assertEqual(result.code, 65, result.err)
        self.assertIn("</strong>, ended by a loss or gradient that is no number.", self.page())

    def test_it_replaces_no_other_file(self):
        self.write("page.html", "mine")
        self.assertFails(self.train(report=self.path("page.html")), 73, "--report",
                         self.path("page.html"), "no report of gist")
        self.assertEqual(self.page(), "mine")
        self.assertFails(self.train("other", report=self.path("none/page.html")), 73, "none/page.html")
        self.assertFails(self.train("third", report=self.path("x.html"), dry_run=True), 64, "--report")

    def test_it_may_stand_in_the_output_directory(self):
        self.trained(report=self.path("out/report.html"))
        self.assertIn("</strong>, finished.", self.page("out/report.html"))


class SamplesTest(TrainTest):
    def setUp(self):
        super().setUp()
        self.held_out = wordtasks(40, 60)
        self.evaluated = {"eval_data": self.write("held_out.jsonl", jsonl(self.held_out)), "eval_every": 2}

    def samples(self, output="out"):
        return {line["step"]: line["samples"] for line in self.metrics(output) if "samples" in line}

    def page(self):
        return self.read("page.html").decode()


@for_each_family
class Samples(SamplesTest):
    def test_they_are_what_the_model_answers_under_each_condition(self):
        for condition in ("pos", "gist", "neg"):
            with self.subTest(condition):
                out = self.trained(condition, condition=condition, samples=3, **self.evaluated)
                samples = self.samples(condition)
                self.assertEqual(list(samples), [2, 4, 6, 8])
                done = run("generate", "--model", out, "--max-new-tokens", 64, "--threads", 1,
                           stdin=jsonl(self.held_out[:3]))
                self.assertEqual(done.code, 0, done.err)
                expected = [{"ordinal": i, "instruction": record["instruction"], "input": record["input"],
                             "reference": record["output"],
                             **{key: record[key] for key in ("completion", "finish_reason", "completion_tokens")}}
                            for i, record in enumerate(records_of(done.out))]
                self.assertEqual(samples[8], expected)

    def test_they_change_no_weight(self):
        options = {"save_every": 2, "keep": 10, **self.evaluated}
        self.trained("without", samples=0, report=self.path("without.html"), **options)
        self.assertNotIn('id="samples"', self.read("without.html").decode())
        self.trained("with", report=self.path("page.html"), **options)
        self.assertEqual([len(each) for each in self.samples("with").values()], [3, 3, 3, 3])
        self.assertEqual(tree(self.path("with")), tree(self.path("without")))
        for name in tree(self.path("with")):
            if name != "metrics.jsonl" and os.path.isfile(self.path(f"with/{name}")):
                self.assertEqual(self.read(f"with/{name}"), self.read(f"without/{name}"), name)
        self.assertEqual([line for line in self.metrics("with") if "samples" not in line], self.metrics("without"))

    def test_a_resumed_run_has_all(self):
        options = {"save_every": 2, "keep": 10, "report": self.path("page.html"), **self.evaluated}
        self.trained("whole", **options)
        shown = self.page().split('<section id="samples"')[1].split("</section>")[0]
        for step in (2, 4, 6, 8):
            self.assertEqual(len(re.findall(f">After step {step}[<,]", shown)), 3, step)
        os.remove(self.path("page.html"))
        self.as_if_killed("whole", "killed", 4)
        self.assertEqual(self.train("killed", resume=True, **options).code, 0)
        self.assertEqual(self.metrics("killed"), self.metrics("whole"))
        self.assertIn(shown, self.page())


class SampleOptions(SamplesTest):
    def test_a_report_alone_asks_for_them(self):
        self.trained("plain", **self.evaluated)
        self.assertEqual(self.samples("plain"), {})
        self.trained("report", report=self.path("page.html"))
        self.assertNotIn('id="samples"', self.page())
        self.assertFails(self.train("none", samples=1), 64, "--samples", "--eval-data")
        self.assertFails(self.train("none", samples=17, **self.evaluated), 64, "--samples", "16")

    def test_texts_are_no_markup(self):
        self.held_out[0]["instruction"] = "<b>bold</b> \u202e turned"
        held_out = self.write("held_out.jsonl", jsonl(self.held_out[:1]))
        self.trained(report=self.path("page.html"), eval_data=held_out)
        self.assertEqual([len(each) for each in self.samples().values()], [1])
        self.assertIn("&lt;b&gt;bold&lt;/b&gt; ⟨U+202E⟩ turned", self.page())
        self.assertNotIn("<b>", self.page())

    def test_long_answers_are_cut(self):
        # From new weights, which never end by themselves in so few steps.
        self.new("new", steps=1, samples=1, **self.evaluated, report=self.path("page.html"))
        (sample,) = self.samples("new")[1]
        self.assertEqual((sample["finish_reason"], sample["completion_tokens"]), ("length", 64))
        self.assertIn("cut after 64 tokens", self.page())


class Comparison(TrainTest):
    def run_in(self, name, losses):
        os.makedirs(self.path(name))
        return self.write(f"{name}/metrics.jsonl", jsonl(
            [{"step": i + 1, "loss": loss, "lr": 1e-3, "grad_norm": 1, "tokens": 100, "labels": 10, "seconds": 0.5}
             for i, loss in enumerate(losses)] + [{"step": len(losses), "eval_loss": losses[-1] + 0.5}]))

    def compare(self, *names, code=0):
        options = [word for name in names for word in ("--training", self.path(name))]
        result = run("evaluate", *options, "--report", self.path("page.html"))
        self.assertEqual(result.code, code, result.err)
        return result

    def test_several_runs_stand_in_one_page(self):
        self.run_in("k1", [3, 2, 1.25])
        self.run_in("<b>k2", [3, 2])
        self.compare("k1", "<b>k2")
        page = self.read("page.html").decode()
        rows = re.findall(r"<tr>.*?</tr>", page.split('<table id="runs-table"')[1].split("<tbody>")[1])
        self.assertEqual(len(rows), 2)
        self.assertEqual([float(value) for value in re.findall('<data value="(.*?)"', rows[0])],
                         [3, 1.25, 1.75, 3, 300, 200])
        self.assertIn("&lt;b&gt;k2", rows[1])
        self.assertNotIn("<b>", page)
        (file,) = re.findall(r'<a download="curves.tsv" href="data:text/tab-separated-values;base64,(.*?)">', page)
        lines = base64.b64decode(file).decode().splitlines()
        self.assertEqual(lines[3].split("\t"), ["k1", "3", "1", "1.25", "0.001", "1", "200", "1.75"])
        self.assertEqual(len(lines), 6)

    def test_what_is_no_run_is_named(self):
        self.run_in("k1", [3])
        self.assertIn("none/metrics.jsonl", self.compare("k1", "none", code=66).err)
        os.makedirs(self.path("empty"))
        self.write("empty/metrics.jsonl", "\n")
        self.assertIn("empty/metrics.jsonl", self.compare("empty", code=65).err)
        self.assertFalse(os.path.exists(self.path("page.html")))
        for options in (("--training", "k1"), ("--training", "k1", "--report", "x", "--data", "y")):
            self.assertEqual(run("evaluate", *options).code, 64)


if __name__ == "__main__":
    unittest.main()
