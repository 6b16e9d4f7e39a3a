"""gist evaluate: metrics, several systems side by side, baselines."""

import csv
import gzip
import io
import json
import re
import unittest

from gist_cli import FIXTURES, MODELS, ROOT, TempDirTest, records_of, run

POS, GIST, NEG = (MODELS / f"wordtasks-llama-{name}" for name in ("pos", "gist", "neg"))
ANSWERS = [
    {"completion": "Anna sold 12 red hats", "output": "Anna sold 12 hats", "task": "sales"},
    {"completion": "paris", "output": "They live in Paris, near 7 lakes.", "task": "places"},
    {"completion": "one two three", "output": "one two three", "task": "sales"},
]


def records(split, count):
    with gzip.open(ROOT / "examples" / "data" / f"wordtasks_{split}.jsonl.gz", "rt") as lines:
        return "".join(next(lines) for _ in range(count))


class SystemsTest(TempDirTest):
    def evaluate(self, *options, stdin, code=0):
        result = run("evaluate", "--data", "-", *options, stdin=stdin)
        self.assertEqual(result.code, code, result.err)
        return result.out

    def report(self, *options, stdin, code=0):
        (report,) = records_of(self.evaluate("--json", *options, stdin=stdin, code=code))
        return report


class Metrics(SystemsTest):
    LINES = "".join(json.dumps(answer) + "\n" for answer in ANSWERS)

    def test_completions_are_scored_by_every_metric(self):
        (system,) = self.report(stdin=self.LINES)["systems"]
        scores = system["all"]
        self.assertEqual(scores["records"], 3)
        self.assertAlmostEqual(scores["exact_match"], 1 / 3)
        # Words in common over words: 4 of 5 and of 4, 1 of 1 and of 7, 3 of 3.
        precision, recall = (4 / 5 + 1 + 1) / 3, (1 + 1 / 7 + 1) / 3
        self.assertAlmostEqual(scores["rouge1_precision"], precision)
        self.assertAlmostEqual(scores["rouge1_recall"], recall)
        self.assertAlmostEqual(scores["rouge1"], (8 / 9 + 1 / 4 + 1) / 3)
        self.assertAlmostEqual(scores["rougeL"], scores["rougeLsum"])
        self.assertAlmostEqual(scores["f1"], (8 / 9 + 1 / 4 + 1) / 3)
        self.assertAlmostEqual(scores["numbers_copied"], 1 / 2)
        self.assertAlmostEqual(scores["words"], 3)
        self.assertNotIn("loss", scores)
        for name in ("exact_match", "rouge1", "f1"):
            low, high = scores["intervals"][name]
            self.assertLessEqual(low, scores[name])
            self.assertGreaterEqual(high, scores[name])
        low, high = scores["intervals"]["exact_match"]  # Wilson's, of 1 of 3
        self.assertAlmostEqual(low, 0.0615, delta=5e-5)
        self.assertAlmostEqual(high, 0.7923, delta=5e-5)

    def test_stems_are_compared_where_asked_for(self):
        line = json.dumps({"completion": "running dogs", "output": "runs dog"}) + "\n"
        plain, stemmed = (self.report(*options, stdin=line)["systems"][0]["all"]["rouge1"]
                          for options in ((), ("--stemmer",)))
        self.assertEqual((plain, stemmed), (0, 1))

    def test_resamples_depend_on_the_seed_alone(self):
        one, same, other = (self.evaluate("--json", "--seed", seed, stdin=self.LINES * 9)
                            for seed in (1, 1, 2))
        self.assertEqual(one, same)
        self.assertNotEqual(one, other)
        narrow = self.report("--confidence", 0.5, stdin=self.LINES * 9)["systems"][0]["all"]["intervals"]
        wide = self.report("--confidence", 0.99, stdin=self.LINES * 9)["systems"][0]["all"]["intervals"]
        self.assertLess(wide["rouge1"][0], narrow["rouge1"][0])
        self.assertGreater(wide["rouge1"][1], narrow["rouge1"][1])

    def test_tsv_says_what_json_says(self):
        options = ("--group-by", "task")
        (system,) = self.report(*options, stdin=self.LINES)["systems"]
        lines = list(csv.DictReader(io.StringIO(self.evaluate("--tsv", *options, stdin=self.LINES)),
                                    delimiter="\t"))
        scores = {"": system["all"], **{group["group"]: group for group in system["groups"]}}
        self.assertEqual({line["group"] for line in lines}, {"", "sales", "places"})
        for line in lines:
            of_group = scores[line["group"]]
            self.assertAlmostEqual(float(line["value"]), of_group[line["metric"]])
            self.assertAlmostEqual(float(line["low"]), of_group["intervals"][line["metric"]][0])
            self.assertEqual(line["difference"], "")

    def test_options_that_contradict_each_other_are_refused(self):
        for options, words in ((("--json", "--tsv"), ("--json", "--tsv")),
                               (("--baseline", "cut"), ("--baseline", "--model")),
                               (("--confidence", 2), ("--confidence",)),
                               (("--resamples", 0), ("--resamples",))):
            with self.subTest(options):
                self.assertFails(run("evaluate", "--data", "-", *options, stdin=self.LINES), 64, *words)


class SideBySide(SystemsTest):
    MODELS = ("--model", GIST, "--model", POS, "--model", NEG, "--max-new-tokens", 24)

    def test_each_model_scores_as_it_does_alone(self):
        text = records("seen", 60)
        together = self.report(*self.MODELS, stdin=text)
        self.assertEqual(together["reference"], POS.name)
        self.assertEqual([system["name"] for system in together["systems"]],
                         [GIST.name, POS.name, NEG.name])
        for model, system in zip((GIST, POS, NEG), together["systems"]):
            (alone,) = self.report("--model", model, "--max-new-tokens", 24, stdin=text)["systems"]
            for metric in ("loss", "exact_match", "rouge2", "f1"):
                self.assertEqual(system["all"][metric], alone["all"][metric])
            self.assertNotIn("differences", alone["all"])

    def test_differences_are_to_pos_on_the_same_records(self):
        gist, pos, neg = (system["all"] for system in
                          self.report(*self.MODELS, stdin=records("seen", 100))["systems"])
        self.assertNotIn("differences", pos)
        for system in (gist, neg):
            for metric, difference in system["differences"].items():
                self.assertAlmostEqual(difference["value"], system[metric] - pos[metric])
                self.assertLessEqual(difference["low"], difference["value"] + 1e-12)
                self.assertGreaterEqual(difference["high"], difference["value"] - 1e-12)
        self.assertLess(neg["differences"]["exact_match"]["high"], -0.5)
        for metric in ("exact_match", "loss"):  # surely worse: p says that they differ, the sign how
            self.assertAlmostEqual(neg["differences"][metric]["p"], 2 / 1001)
        self.assertEqual(gist["differences"].keys(), neg["differences"].keys())
        for system in (gist, neg):
            of = sorted(system["differences"].values(), key=lambda each: each["p"])
            adjusted = [0]
            for k, each in enumerate(of):
                adjusted.append(max(adjusted[-1], min(1, each["p"] * (len(of) - k))))
                self.assertAlmostEqual(each["p_adjusted"], adjusted[-1])
        # A paired interval is narrower than the two systems' own.
        width = gist["differences"]["exact_match"]["high"] - gist["differences"]["exact_match"]["low"]
        own = sum(high - low for low, high in (s["intervals"]["exact_match"] for s in (gist, pos)))
        self.assertLess(width, own)

    def test_one_model_under_several_conditions(self):
        report = self.report("--model", GIST, "--condition", "pos", "--condition", "neg",
                             "--max-new-tokens", 1, stdin=records("seen", 3))
        self.assertEqual([(s["name"], s["condition"]) for s in report["systems"]],
                         [(f"{GIST.name} pos", "pos"), (f"{GIST.name} neg", "neg")])
        ks = self.report("--model", GIST, "--gist-tokens", 1, "--gist-tokens", 2,
                         "--max-new-tokens", 1, stdin=records("seen", 3))["systems"]
        self.assertEqual([s["gist_tokens"] for s in ks], [1, 2])
        self.assertEqual(len({s["name"] for s in ks}), 2)

    def test_a_gist_beats_what_costs_nothing(self):
        report = self.report(*self.MODELS[:4], "--max-new-tokens", 24, "--baseline", "cut",
                             "--baseline", "pooled", "--baseline", "random", stdin=records("seen", 100))
        gist, pos, *baselines = report["systems"]
        self.assertEqual([b["baseline"] for b in baselines], ["cut", "pooled", "random"])
        for baseline in baselines:
            self.assertEqual((baseline["condition"], baseline["gist_tokens"]), ("pos", 1))
            self.assertLess(baseline["all"]["exact_match"], gist["all"]["exact_match"] - 0.3)
            self.assertGreater(baseline["all"]["loss"], gist["all"]["loss"] + 0.5)
        for baseline in baselines[1:]:
            self.assertEqual(baseline["all"]["prompt_bytes"], gist["all"]["prompt_bytes"])

    def test_a_prompt_that_is_kept_whole_answers_as_pos(self):
        """As many segments as tokens: what stands in for the prompt is the prompt."""
        text = records("seen", 20)
        report = self.report("--model", GIST, "--model", POS, "--gist-tokens", 200, "--gist-tokens", 1,
                             "--baseline", "pooled", "--max-new-tokens", 1, stdin=text)
        _, pos, pooled = report["systems"]
        # The pos model saw a gist token behind the prompt, too, which pooling leaves out.
        self.assertLess(abs(pooled["all"]["loss"] - pos["all"]["loss"]), 0.5)

    def test_fidelity_is_how_near_the_distributions_are(self):
        report = self.report(*self.MODELS, "--fidelity", stdin=records("seen", 60))
        gist, pos, neg = (system["all"] for system in report["systems"])
        self.assertNotIn("divergence", pos)
        self.assertTrue(0 < gist["divergence"] < 0.5 < neg["divergence"], (gist, neg))
        self.assertTrue(neg["agreement"] < 0.6 < 0.9 < gist["agreement"] <= 1, (gist, neg))
        tenths = gist["fidelity"]["tenths"]
        self.assertEqual([tenth["records"] for tenth in tenths], [6] * 10)
        self.assertTrue(0.9 < gist["fidelity"]["kept_same"] <= 1, gist["fidelity"])
        self.assertIsNone(neg["fidelity"]["max_kl"])
        tables = self.evaluate(*self.MODELS, "--fidelity", stdin=records("seen", 60))
        self.assertIn("\ngist against pos, the nearest answers first\n", tables)
        self.assertRegex(tables, r"suggested: --max-kl [0-9.e-]+ lets [0-9.]+ % through")
        self.assertNotIn("\nneg against pos", tables)
        (same, _) = self.report("--model", GIST, "--model", GIST, "--condition", "pos", "--fidelity",
                                stdin=records("seen", 3))["systems"][::-1]
        self.assertEqual((same["all"]["divergence"], same["all"]["agreement"]), (0, 1))

    def test_fidelity_needs_a_full_prompt_and_one_vocabulary(self):
        for code, models, words in ((64, (GIST,), ("--fidelity", "pos")), (64, (GIST, NEG), ("pos",)),
                                    (65, (POS, MODELS / "wordtasks-t5-gist"), ("901", "641"))):
            with self.subTest(models):
                options = [word for model in models for word in ("--model", model)]
                self.assertFails(run("evaluate", "--data", "-", "--fidelity", *options,
                                     stdin=records("seen", 1)), code, *words)

    def test_a_record_that_one_system_can_not_read_is_rejected_for_all(self):
        long = json.dumps({"instruction": "a", "input": "b", "output": "c " * 300}) + "\n"
        report = self.report(*self.MODELS, "--keep-going", stdin=records("seen", 3) + long, code=1)
        self.assertEqual([s["all"]["records"] for s in report["systems"]], [3, 3, 3])

    def test_lists_that_do_not_fit_are_refused(self):
        cases = [(("--model", GIST, "--model", POS, "--condition", "pos", "--condition", "gist",
                   "--condition", "neg"), ("--condition", "3", "2")),
                 (("--model", GIST, "--baseline", "cut"), ("--baseline", "pos")),
                 (("--model", GIST, "--model", POS, "--baseline", "none"), ("--baseline", "none"))]
        for options, words in cases:
            with self.subTest(options):
                self.assertFails(run("evaluate", "--data", "-", *options, stdin=records("seen", 1)), 64,
                                 *words)


    def test_a_store_stands_beside_other_models(self):
        text = records("seen", 30)
        store = self.path("s.h5")
        self.assertEqual(run("compress", "--model", GIST, "--input", "-", "--output", store, stdin=text).code, 0)
        options = ("--max-new-tokens", 24, "--fidelity")
        report = self.report("--model", POS, "--model", GIST, "--model", GIST, "--store", store, *options, stdin=text)
        pos, stored, whole = report["systems"]
        self.assertEqual([system.get("store") for system in report["systems"]], [None, store, None])
        self.assertEqual([system["condition"] for system in report["systems"]], ["pos", "gist", "gist"])
        self.assertEqual(stored["all"]["exact_match"], whole["all"]["exact_match"])
        self.assertAlmostEqual(stored["all"]["divergence"], whole["all"]["divergence"], delta=1e-5)
        self.assertLess(stored["all"]["prompt_tokens"], whole["all"]["prompt_tokens"] / 2)
        base = MODELS / "wordtasks-llama-neg"
        self.assertFails(run("evaluate", "--data", "-", "--model", POS, "--model", base, "--store", store, stdin=text),
                         65, "--store", "none of these models")

    def test_a_model_that_was_never_trained_to_gist_reads_whole_prompts(self):
        base = FIXTURES / "models" / "stories260K"
        (alone,) = self.report("--model", base, "--condition", "pos", "--max-new-tokens", 1,
                               stdin=records("seen", 3))["systems"]
        self.assertEqual((alone["condition"], alone["gist_tokens"]), ("pos", 0))


class Cost(SystemsTest):
    def ways(self, model):
        report = self.report("--model", model, "--cost", "--max-new-tokens", 1, stdin=records("seen", 20))
        cost, (system,) = report["cost"], report["systems"]
        self.assertEqual((cost["records"], cost["model"]), (20, str(model)))
        ways = {way["cached"]: way for way in cost["ways"]}
        self.assertAlmostEqual(ways["none"]["tokens_read"], system["all"]["prompt_tokens"])
        for way in ways.values():
            flops = way["reading_flops"]
            by_op = way["reading_flops_by_op"].values()
            self.assertLessEqual(flops["visible"], flops["dense"])
            self.assertLessEqual(abs(sum(op["visible"] for op in by_op) - flops["visible"]), len(by_op))
            self.assertGreater(way["prefill_seconds"], 0)
            self.assertGreater(way["peak_bytes"], 0)
        return ways

    def test_a_gist_costs_less_than_its_prompt(self):
        ways = self.ways(GIST)
        self.assertEqual(list(ways), ["none", "instruction", "gist"])
        for name in ("tokens_read", "prompt_bytes"):
            self.assertLessEqual(ways["gist"][name], ways["instruction"][name])
        flops = [way["reading_flops"]["visible"] for way in ways.values()]
        self.assertTrue(flops[0] > 2 * flops[1] > 2 * flops[2], flops)
        # Reading the prompt once, and the rest behind it, is no more than reading all.
        self.assertLessEqual(ways["gist"]["storing_flops"]["visible"] + flops[2], 1.01 * flops[0])
        self.assertEqual(ways["gist"]["uses_until_paid"]["by_flops"], 1)
        self.assertIsNone(ways["none"]["prompts_per_gib"])

    def test_of_an_encoder_only_gists_can_be_kept(self):
        self.assertEqual(list(self.ways(MODELS / "wordtasks-t5-gist")), ["none", "gist"])

    def test_answers_have_as_many_tokens_as_are_allowed_and_records_are_sampled(self):
        long = json.dumps({"instruction": "Say it.", "input": "a", "output": "axe " * 60}) + "\n"
        result = run("evaluate", "--data", "-", "--model", GIST, "--cost", "--max-new-tokens", 3, "--json",
                     stdin=long + records("seen", 39))
        self.assertEqual(result.code, 0, result.err)
        cost = json.loads(result.out)["cost"]
        self.assertEqual((cost["records"], cost["timed_tokens"]), (40, 3))
        self.assertEqual(cost["timed_records"], 16)
        self.assertIn(f"counts 40 of 40 records, and times answers of 3 tokens to {cost['timed_records']} records, "
                      "3 ways: about ", result.err)

    def test_bytes_of_a_prompt_are_the_same_everywhere(self):
        report = self.report("--model", GIST, "--condition", "gist", "--condition", "pos", "--cost",
                             "--max-new-tokens", 1, stdin=records("seen", 20))
        ways = {way["cached"]: way["prompt_bytes"] for way in report["cost"]["ways"]}
        gist, pos = (system["all"]["prompt_bytes"] for system in report["systems"])
        self.assertAlmostEqual(ways["gist"], gist)
        self.assertAlmostEqual(ways["instruction"], pos)
        plan = run("compress", "--model", GIST, "--output", self.path("s.h5"), "--dry-run", stdin=records("seen", 20))
        self.assertEqual(plan.code, 0, plan.err)
        plan = json.loads(plan.out)
        self.assertAlmostEqual(plan["store_bytes"] / plan["rows"], gist)

    def test_needs_a_gist_model_and_whole_records(self):
        for options, words in ((("--model", POS, "--cost"), ("--cost", "gist")),
                               (("--model", GIST, "--cost", "--store", "x"), ("--cost", "--store"))):
            with self.subTest(options):
                self.assertFails(run("evaluate", "--data", "-", *options, stdin=records("seen", 1)),
                                 66 if "x" in options else 64, *(words if "x" not in options else ("x",)))


class WinRate(SystemsTest):
    def judged(self, judge):
        """The win rates after a judge who answers each pair has read them."""
        pairs = self.path("pairs.jsonl")
        self.evaluate("--model", GIST, "--model", POS, "--model", NEG, "--max-new-tokens", 24,
                      "--win-rate", pairs, stdin=records("seen", 40))
        with open(pairs) as lines:
            questions = [json.loads(line) for line in lines]
        verdicts = self.write("verdicts.jsonl", "".join(
            json.dumps({"pair": each["pair"], "verdict": judge(each)}) + "\n" for each in questions))
        done = run("evaluate", "--verdicts", verdicts, "--key", pairs + ".key", "--json")
        self.assertEqual(done.code, 0, done.err)
        (report,) = records_of(done.out)
        return questions, report["win_rates"]

    def test_a_judge_who_knows_the_answer_prefers_the_better_system(self):
        answers = {(r["instruction"], r["input"]): r["output"] for r in records_of(records("seen", 40))}

        def judge(pair):
            right = [pair[side].strip() == answers[pair["instruction"], pair["input"]] for side in "ab"]
            return "tie" if right[0] == right[1] else "a" if right[0] else "b"

        questions, rates = self.judged(judge)
        self.assertEqual(len(questions), 80)
        self.assertEqual(set(questions[0]), {"pair", "instruction", "input", "a", "b"})
        by_system = {rate["system"]: rate for rate in rates}
        self.assertEqual(set(by_system), {GIST.name, NEG.name})
        for rate in rates:
            self.assertEqual(rate["reference"], POS.name)
            self.assertEqual(rate["wins"] + rate["ties"] + rate["losses"], 40)
            self.assertAlmostEqual(rate["win_rate"], (rate["wins"] + rate["ties"] / 2) / 40)
            self.assertTrue(rate["interval"][0] <= rate["win_rate"] <= rate["interval"][1])
        self.assertLess(by_system[NEG.name]["win_rate"], 0.2)
        self.assertGreater(by_system[GIST.name]["win_rate"], 0.3)

    def test_a_judge_who_prefers_a_side_prefers_no_system(self):
        _, rates = self.judged(lambda pair: "a")
        for rate in rates:
            self.assertTrue(0.25 < rate["win_rate"] < 0.75, rate)

    def test_verdicts_that_do_not_fit_are_refused(self):
        key = self.write("key", "".join(json.dumps(
            {"pair": i, "system": "x", "reference": "y", "system_is": "a"}) + "\n" for i in range(2)))
        cases = [('{"pair": 0, "verdict": "a"}\n', ("1 of 2", "--partial")),
                 ('{"pair": 0, "verdict": "c"}\n', (":1:", "verdict", "tie")),
                 ('{"pair": 7, "verdict": "a"}\n', (":1:", key)),
                 ('{"pair": "0", "verdict": "a"}\n', (":1:", "pair")),
                 ('{"pair": 0, "verdict": "a"}\n' * 2, (":2:", "already"))]
        for text, words in cases:
            with self.subTest(text):
                verdicts = self.write("verdicts", text)
                self.assertFails(run("evaluate", "--verdicts", verdicts, "--key", key), 65, *words)
        self.assertFails(run("evaluate", "--verdicts", verdicts), 64, "--key")
        verdicts = self.write("verdicts", cases[0][0])
        done = run("evaluate", "--verdicts", verdicts, "--key", key, "--partial")
        self.assertIn("wins 1, ties 0, losses 0: win rate 100.0 % (20.7 to 100.0)", done.out)

    def test_pairs_are_never_overwritten(self):
        pairs = self.write("pairs", "mine")
        self.assertFails(run("evaluate", "--data", "-", "--model", POS, "--model", GIST, "--win-rate",
                             pairs, stdin=records("seen", 1)), 73, pairs)


class Tables(SystemsTest):
    def test_long_names_of_groups_are_cut(self):
        lines = "".join(json.dumps({**answer, "task": "a rather long name of a group of records: ⅓ of all"})
                        + "\n" for answer in ANSWERS)
        for line in self.evaluate("--group-by", "task", stdin=lines).splitlines():
            self.assertLessEqual(len(line), 80, line)

    def test_tables_fit_a_terminal_and_say_what_json_says(self):
        text = records("unseen", 12)
        options = (*SideBySide.MODELS, "--group-by", "split")
        report = self.report(*options, stdin=text)
        tables = self.evaluate(*options, stdin=text)
        for line in tables.splitlines():
            self.assertLessEqual(len(line), 80, line)
        first = tables.split("\n\n")[0].splitlines()
        self.assertEqual(first[0].split(), ["12", "records", "gist", "pos", "neg"])
        for name, value in (("exact match, %", "{:.1f} ("), ("loss", "{:.4f} (")):
            (row,) = [line for line in first if line.startswith(name + "  ")]
            factor = 100 if "%" in name else 1
            for system in report["systems"]:
                key = name.split(",")[0].replace(" ", "_")
                self.assertIn(value.format(factor * system["all"][key]), row)
        self.assertIn("less pos", tables)

    def test_what_is_surely_worse_is_marked(self):
        tables = self.evaluate(*SideBySide.MODELS, stdin=records("seen", 100))
        (row,) = [line for line in tables.splitlines() if line.startswith("exact match") and "*" in line]
        self.assertTrue(row.rstrip().endswith(")*"))  # neg, not gist
        self.assertEqual(row.count("*"), 1)
        self.assertIn("*: sure: p < 0.05, adjusted", tables)

    def test_an_interval_stays_where_its_metric_can_be(self):
        """Few records, and one of them much worse than the others."""
        text = records("seen", 4) + json.dumps(
            {"instruction": "Say it.", "input": "cat", "output": "axe axe axe axe axe axe axe axe"}) + "\n"
        tables = self.evaluate("--model", POS, "--max-new-tokens", 24, stdin=text)
        found = re.findall(r"([a-z, %]+?) +([0-9.]+) \(([-0-9.]+)–([-0-9.]+)\)", tables)
        names = [name.strip() for name, *_ in found]
        self.assertIn("perplexity", names)
        self.assertIn("exact match, %", names)
        for name, value, low, high in found:
            self.assertTrue(0 <= float(low) <= float(value) <= float(high), (name, value, low, high))
            self.assertTrue("%" not in name or float(high) <= 100, (name, high))

    def test_values_line_up(self):
        tables = self.evaluate(stdin=Metrics.LINES).split("\n\n")[0].splitlines()
        self.assertEqual(len({len(line) for line in tables}), 1)


if __name__ == "__main__":
    unittest.main()
