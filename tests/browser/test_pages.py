"""Pages in a headless Chromium: those of made-up evaluations and runs, and those of the commands."""

import gzip
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

from chromium import Chromium
from page_checks import check_page, open_page

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))
from gist_cli import MODELS, ROOT, run  # noqa: E402

STORIES = ROOT / "tests" / "fixtures" / "models" / "stories260K"
DATA = ROOT / "examples" / "data"


class BrowserTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.mkdtemp(prefix="gist-pages-")
        cls.addClassCleanup(shutil.rmtree, cls.directory)
        cls.browser = Chromium(os.environ["CHROMIUM"])
        cls.addClassCleanup(cls.browser.close)

    def path(self, name):
        return os.path.join(self.directory, name)


class MadeUpPages(BrowserTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        subprocess.run([os.environ["WRITE_PAGES"], cls.directory], check=True, timeout=300)

    def test_an_evaluation(self):
        check_page(self, self.browser, self.path("evaluation.html"))

    def test_a_small_evaluation(self):
        check_page(self, self.browser, self.path("small.html"), ("desktop", "phone"))

    def test_a_large_evaluation(self):
        check_page(self, self.browser, self.path("large.html"), ("phone", "print"))
        self.assertLess(os.path.getsize(self.path("large.html")), 2 << 20)

    def test_hostile_texts_stay_texts(self):
        path = self.path("hostile.html")
        check_page(self, self.browser, path)
        open_page(self.browser, path, "desktop")
        time.sleep(0.1)  # were there anything to run, it would
        self.assertTrue(self.browser.evaluate("document.title").startswith("Evaluation of <b>data</b>"))
        elements = set(self.browser.evaluate(
            "[...document.querySelectorAll('*')].map(e => e.tagName.toLowerCase())"))
        self.assertFalse(elements & {"img", "b", "i", "iframe", "object", "embed", "base"}, elements)
        self.assertEqual(self.browser.evaluate("document.scripts.length"), 1)
        handlers = self.browser.evaluate(
            "[...document.querySelectorAll('*')].flatMap(e => e.getAttributeNames())"
            ".filter(name => name.startsWith('on') || name === 'autofocus')")
        self.assertEqual(handlers, [])
        self.assertNotRegex(self.browser.evaluate("document.documentElement.textContent"),
                            "[\u202a-\u202e\u2066-\u2069\u200b\x00-\x08\x0e-\x1f]")

    def test_the_policy_lets_no_other_script_run(self):
        with open(self.path("small.html")) as file:
            page = file.read()
        with open(self.path("injected.html"), "w") as file:
            file.write(page.replace("</main>", "<script>document.title = 'owned'</script>"
                                    "<img src=x onerror=\"document.title = 'owned'\"></main>"))
        open_page(self.browser, self.path("injected.html"), "desktop")
        time.sleep(0.1)
        self.assertNotEqual(self.browser.evaluate("document.title"), "owned")

    def test_a_training_run(self):
        check_page(self, self.browser, self.path("training.html"))

    def test_short_training_runs(self):
        check_page(self, self.browser, self.path("short-training.html"), ("desktop", "phone"))
        check_page(self, self.browser, self.path("no-training.html"), ("desktop", "phone"))

    def test_training_runs_side_by_side(self):
        check_page(self, self.browser, self.path("runs.html"))

    def test_values_stand_under_the_pointer(self):
        open_page(self.browser, self.path("training.html"), "desktop")
        values = """[...document.querySelectorAll("#loss .pointer text")].map((e) => e.textContent)"""
        self.assertEqual(self.browser.evaluate(values), [])
        self.browser.evaluate("document.querySelector('#loss').scrollIntoView()")
        self.browser.evaluate("""(() => {
          const svg = document.querySelector("#loss > svg"), box = svg.getBoundingClientRect();
          svg.dispatchEvent(new PointerEvent("pointermove", {clientX: box.left + box.width / 2, clientY: box.top + 60}));
        })()""")
        step, *losses = self.browser.evaluate(values)
        self.assertRegex(step, r"^[0-9,.]+$")
        self.assertEqual([loss.split(": ")[0] for loss in losses], ["training", "training, smoothed", "held out"])
        self.browser.evaluate("document.querySelector('#loss > svg').dispatchEvent(new PointerEvent('pointerleave'))")
        self.assertEqual(self.browser.evaluate(values), [])

    def test_the_numbers_are_a_file_in_the_page(self):
        open_page(self.browser, self.path("evaluation.html"), "desktop")
        files = self.browser.evaluate(
            "[...document.querySelectorAll('a[download]')].map((e) => [e.download, atob(e.href.split(',')[1])])")
        self.assertEqual([name for name, _ in files], ["evaluation.json", "evaluation.tsv"])
        self.assertEqual(json.loads(files[0][1])["records"], 400)
        self.assertTrue(files[1][1].startswith("group\tsystem\tmetric\t"))

    def test_on_a_phone_each_cell_of_a_table_is_seen_with_its_column(self):
        open_page(self.browser, self.path("evaluation.html"), "phone")
        for table in ("systems-table", "metrics-table", "caching-table"):
            hidden = self.browser.evaluate(f"""[...document.querySelectorAll("#{table} td")].filter((cell) => {{
              const box = cell.getBoundingClientRect();
              return box.right > innerWidth || box.width < 40 || !getComputedStyle(cell, "::before").content.slice(1, -1);
            }}).length""")
            self.assertEqual(hidden, 0, table)

    def test_a_page_is_printed(self):
        self.browser.screen(1280, 800, "dark", media="")
        self.browser.open(self.path("training.html"))
        self.assertTrue(self.browser.pdf().startswith(b"%PDF-"))


class Commands(BrowserTest):
    def test_train(self):
        page = self.path("train.html")
        result = run("train", "--model", STORIES, "--data", DATA / "wordtasks_seen.jsonl.gz",
                     "--output", self.path("out"), "--condition", "gist", "--gist-tokens", 1,
                     "--steps", 6, "--batch-records", 4, "--lr", 1e-3, "--threads", 1,
                     "--eval-data", DATA / "wordtasks_unseen.jsonl.gz", "--eval-every", 3,
                     "--report", page)
        self.assertEqual((result.code, result.err), (0, ""))
        check_page(self, self.browser, page, ("desktop", "dark phone"))

    def test_evaluate(self):
        with gzip.open(DATA / "wordtasks_unseen.jsonl.gz", "rt") as data:
            records = [line for i, line in enumerate(data) if i % 20 == 0]
        page = self.path("evaluate.html")
        models = [word for name in ("pos", "gist", "neg")
                  for word in ("--model", MODELS / f"wordtasks-llama-{name}")]
        result = run("evaluate", models, "--baseline", "pooled", "--data", "-", "--fidelity", "--cost",
                     "--group-by", "split", "--max-new-tokens", 24, "--resamples", 100, "--threads", 1,
                     "--report", page, "--json", stdin="".join(records))
        self.assertEqual(result.code, 0, result.err)
        check_page(self, self.browser, page, ("desktop", "dark phone"))
        self.assertNumbersAreThoseOf(json.loads(result.out))

    def assertNumbersAreThoseOf(self, report):
        """Every metric of every system on the page that is open, in the order of the table."""
        shown = self.browser.evaluate(
            "[...document.querySelectorAll('#metrics-table tbody td')].map(cell => "
            "[...cell.querySelectorAll('data')].map(data => Number(data.value)))")
        systems = [system["all"] for system in report["systems"]]
        self.assertGreater(len(systems[0]["intervals"]), 15)
        cells = [cell for cell in shown if cell]
        expected = []
        for key in sorted({key for system in systems for key in system["intervals"]},
                          key=lambda key: self.metric_order(systems, key)):
            for system in systems:
                if key not in system["intervals"]:
                    continue
                difference = system.get("differences", {}).get(key)
                expected.append([system[key], *system["intervals"][key]] + (
                    [difference[part] for part in ("value", "low", "high")] if difference else []))
        self.assertEqual(cells, expected)

    @staticmethod
    def metric_order(systems, key):
        """Where a metric stands in the fullest list of them."""
        return list(max((system["intervals"] for system in systems), key=len)).index(key)


if __name__ == "__main__":
    unittest.main()
