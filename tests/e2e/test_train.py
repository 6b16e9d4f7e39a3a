"""gist train: what it makes, of which data, in which passes, and what it plans."""

import gzip
import json
import os
import shutil
import unittest

from families import for_each_family
from gist_cli import FIXTURES, SANITIZED, bf16_missing, jsonl, records_of, run, wordtasks
from training import CONFIG, STORIES, TrainTest, tree


@for_each_family
class Proofs(TrainTest):
    def evaluate(self, model, data):
        report = run("evaluate", "--model", model, "--data", data, "--json", "--max-new-tokens", 1,
                     "--threads", 1)
        self.assertEqual(report.code, 0, report.err)
        return json.loads(report.out)["systems"][0]

    def test_a_gist_model_is_a_hugging_face_directory(self):
        base = self.new("base", condition="pos", gist_tokens=0, steps=1)
        self.assertFalse(os.path.exists(self.path("base/added_tokens.json")))
        self.assertEqual(self.json_in("base", "config.json"),
                         {**self.family.config, "torch_dtype": "float32"})
        out = self.trained(model=base, steps=2)
        files = {"config.json", "gist.json", "metrics.jsonl", "model.safetensors",
                 "special_tokens_map.json", "tokenizer_config.json", "training.json"}
        self.assertLess(files, set(tree(base)))
        (vocabulary,) = set(tree(base)) - files
        self.assertEqual(self.read(f"base/{vocabulary}"), self.family.tokenizer.read_bytes())
        self.assertEqual(tree(out), sorted([*tree(base), "added_tokens.json"]))
        self.assertEqual(self.json_in("out", "config.json"), {
            **self.json_in("base", "config.json"), "vocab_size": self.family.gist_token + 1})
        self.assertEqual(self.json_in("out", "added_tokens.json"), {"<GIST>": self.family.gist_token})
        self.assertEqual(self.json_in("out", "tokenizer_config.json")["additional_special_tokens"],
                         ["<GIST>"])
        settings = self.json_in("out", "gist.json")
        self.assertEqual((settings["format"], settings["condition"], settings["gist_tokens"]),
                         ("gist-model", "gist", 2))
        self.assertEqual(self.evaluate(out, self.path("data.jsonl"))["gist_tokens"], 2)
        store = run("compress", "--model", out, "--input", self.path("data.jsonl"), "--output",
                    self.path("s.h5"), "--threads", 1)
        self.assertEqual(store.code, 0, store.err)
        self.assertEqual({receipt["gist_tokens"] for receipt in records_of(store.out)}, {2})

    def test_metrics_have_a_line_a_step_and_the_loss_falls(self):
        self.trained(steps=12, batch_records=40)  # the same records at every step
        lines = self.metrics()
        self.assertEqual([line["step"] for line in lines], list(range(1, 13)))
        for line in lines:
            self.assertEqual(list(line), ["step", "loss", "lr", "grad_norm", "tokens", "labels"])
        self.assertAlmostEqual(lines[3]["lr"], 1e-3 * (1 - 3 / 12))
        self.assertLess(lines[-1]["loss"], 0.7 * lines[0]["loss"])

    def test_the_seed_decides_every_byte(self):
        for name, seed in (("one", 7), ("two", 7), ("other", 8)):
            result = self.train(name, seed=seed)  # of four records a step, whose losses differ
            self.assertEqual((result.code, result.out), (0, ""), result.err)
        self.assertEqual(self.weights("one"), self.weights("two"))
        self.assertEqual(self.metrics("one"), self.metrics("two"))
        self.assertNotEqual(self.weights("one"), self.weights("other"))

    def test_a_gist_model_is_trained_on_as_it_was(self):
        first = self.trained("first", gist_tokens=3, steps=2)
        self.trained("second", model=first, condition=None, gist_tokens=None, steps=2)
        for name in ("gist.json", "config.json", "added_tokens.json", "tokenizer_config.json"):
            self.assertEqual(self.json_in("first", name), self.json_in("second", name))

    def test_a_new_model_is_drawn_from_the_seed(self):
        for name, seed in (("a", 1), ("b", 1), ("c", 2)):
            self.evaluate(self.new(name, seed=seed, steps=2), self.path("data.jsonl"))
        self.assertEqual(self.json_in("a", "config.json"), {
            **self.family.config, "vocab_size": self.family.gist_token + 1, "torch_dtype": "float32"})
        self.assertEqual(self.json_in("a", "added_tokens.json"), {"<GIST>": self.family.gist_token})
        self.assertEqual(self.weights("a"), self.weights("b"))
        self.assertNotEqual(self.weights("a"), self.weights("c"))

    def test_the_controls_are_trained_too(self):
        self.new("neg", condition="neg", steps=2)
        self.assertEqual(self.json_in("neg", "gist.json")["condition"], "neg")
        self.new("pos", condition="pos", steps=2)
        self.assertEqual(self.json_in("pos", "gist.json")["condition"], "pos")
        self.assertNotEqual(self.losses("neg"), self.losses("pos"))

    def assertNearlySame(self, one, other, tolerance=1e-3):
        self.assertEqual(len(one), len(other))
        for a, b in zip(one, other):
            self.assertLess(abs(a / b - 1), tolerance)

    def test_recomputed_passes_give_the_same_bytes(self):
        for dtype in ("f32", "bf16"):
            if dtype == "bf16" and bf16_missing():
                self.skipTest(bf16_missing())
            for name, recompute in ((dtype, None), (dtype + "-recomputed", True)):
                self.trained(name, dtype=dtype, recompute=recompute)
            self.assertEqual(self.weights(dtype), self.weights(dtype + "-recomputed"))
        # What is kept is in f32 all the same.
        self.assertEqual(len(self.weights("f32")), len(self.weights("bf16")))
        self.assertNearlySame(self.losses("f32"), self.losses("bf16"), 0.1)

    def test_split_passes_give_the_same_losses(self):
        # Without dropout: what it draws depends on the pass that a record is in.
        base = self.path("base")
        shutil.copytree(self.family.base, base)
        config = self.json_in("base", "config.json")
        key = "dropout_rate" if config["model_type"] == "t5" else "attention_dropout"
        self.write("base/config.json", {**config, key: 0})
        self.trained("whole", model=base)
        for tokens in (1, 100):
            self.trained(f"split{tokens}", model=base, batch_tokens=tokens)
            self.assertNearlySame(self.losses("whole"), self.losses(f"split{tokens}"))

    def test_the_best_on_held_out_data_is_kept(self):
        held_out = self.write("held_out.jsonl", jsonl(wordtasks(40, 60)))
        # A rate at which the loss rises again, which a warning may say.
        result = self.train(eval_data=held_out, eval_every=2, steps=7, lr=2e-2, schedule="constant")
        self.assertEqual((result.code, result.out), (0, ""), result.err)
        evaluated = {line["step"]: line["eval_loss"]
                     for line in self.metrics() if "eval_loss" in line}
        self.assertEqual(list(evaluated), [2, 4, 6, 7])
        best = min(evaluated, key=evaluated.get)
        self.assertEqual([n for n in os.listdir(self.path("out")) if "-" in n], [f"best-{best}"])
        loss = self.evaluate(self.path(f"out/best-{best}"), held_out)["all"]["loss"]
        self.assertAlmostEqual(loss, evaluated[best], delta=1e-4)

    def test_a_dry_run_prints_the_plan_and_writes_nothing(self):
        result = self.train(dry_run=True, steps=None, epochs=3)
        self.assertEqual((result.code, result.err), (0, ""))
        self.assertEqual(os.listdir(self.directory), ["data.jsonl"])
        plan = json.loads(result.out)
        self.assertEqual(list(plan), [
            "records", "left_out", "steps", "tokens", "labels", "parameters", "flops", "weight_bytes",
            "gradient_bytes", "optimiser_bytes", "teacher_bytes", "activation_bytes", "memory_bytes",
            "available_bytes"])
        self.assertEqual((plan["records"], plan["left_out"], plan["steps"]), (40, 0, 30))
        parts = ("weight_bytes", "gradient_bytes", "optimiser_bytes", "activation_bytes")
        self.assertEqual(plan["memory_bytes"], sum(plan[part] for part in parts))
        self.trained(steps=None, epochs=3)
        lines = self.metrics()
        self.assertEqual(plan["tokens"], sum(line["tokens"] for line in lines))
        self.assertEqual(plan["labels"], sum(line["labels"] for line in lines))
        less = json.loads(self.train("x", dry_run=True, recompute=True).out)
        self.assertLess(less["activation_bytes"], plan["activation_bytes"])


class Tokenizers(TrainTest):
    def test_a_published_gist_model_keeps_its_gist_token(self):  # without a gist.json
        self.trained(model=FIXTURES / "models" / "stories260K-gist", steps=2)
        self.assertEqual(self.json_in("out", "config.json")["vocab_size"], 513)

    def test_a_directory_has_the_tokenizer_of_its_file(self):
        for tokenizer in (STORIES, STORIES / "tokenizer.model"):
            self.new(tokenizer.name, tokenizer=tokenizer, steps=2)
        self.assertEqual(self.weights("stories260K"), self.weights("tokenizer.model"))

    def test_a_fast_tokenizer_without_the_gist_token_is_left_out_and_named(self):
        shutil.copytree(STORIES, self.path("base"))
        with open(self.path("base") + "/tokenizer.json", "w") as file:
            file.write("{}")
        done = self.train("out", model=self.path("base"), steps=1)
        self.assertEqual(done.code, 0, done.err)
        self.assertRegex(done.err, "^gist: tokenizer.json of .* left out: .*\n$")
        self.assertNotIn("tokenizer.json", tree(self.path("out")))


class Data(TrainTest):
    def test_arrays_gzip_and_standard_input_train_alike(self):
        self.trained("lines", steps=2)
        self.write("data.json", json.dumps(self.records, indent=1))
        with gzip.open(self.path("data.jsonl.gz"), "wt") as file:
            file.write(jsonl(self.records))
        for name in ("data.json", "data.jsonl.gz"):
            with self.subTest(name):
                self.trained(name + "-out", data=self.path(name), steps=2)
                self.assertEqual(self.weights("lines"), self.weights(name + "-out"))
        piped = self.train("piped", data="-", steps=2, stdin=jsonl(self.records))
        self.assertEqual((piped.code, piped.err), (0, ""))
        self.assertEqual(self.weights("lines"), self.weights("piped"))

    def test_fields_may_have_other_names(self):
        self.trained("usual", steps=2)
        data = self.write("other.jsonl", jsonl(
            {"prompt": r["instruction"], "input": r["input"], "answer": r["output"]}
            for r in self.records))
        self.trained("other", data=data, steps=2, fields="instruction=prompt,output=answer")
        self.assertEqual(self.weights("usual"), self.weights("other"))
        self.assertFails(self.train("wrong", data=data, fields="instruction=promt,output=answer"), 65,
                         data + ":1", '"promt"')

    def test_a_template_may_have_a_name(self):
        self.trained("named", template="alpaca", steps=2)
        self.trained("usual", steps=2)
        self.assertEqual(self.json_in("named", "gist.json"), self.json_in("usual", "gist.json"))

    def test_a_template_is_trained_on_and_kept(self):
        pieces = ["bos", {"text": "{instruction}"}, "gist", {"text": "{input} ="}]
        out = self.trained("out", template=self.write("template.json", pieces), steps=2)
        self.assertEqual(self.json_in("out", "gist.json")["template"], pieces)
        self.trained("usual", steps=2)
        self.assertLess(self.metrics()[0]["tokens"], self.metrics("usual")[0]["tokens"])
        self.trained("again", model=out, condition=None, gist_tokens=None, steps=1)
        self.assertEqual(self.json_in("again", "gist.json")["template"], pieces)

    def test_longer_records_are_left_out_counted_and_listed(self):
        held_out = self.write("held_out.jsonl", jsonl(wordtasks(40, 60)))
        result = self.train(steps=2, max_tokens=75, eval_data=held_out)
        self.assertEqual((result.code, result.out), (0, ""))
        left_out = records_of(self.read("out/left_out.jsonl").decode())
        plan = json.loads(self.train("plan", max_tokens=75, dry_run=True).out)
        by_file = {path: [line for line in left_out if line["data"] == path]
                   for path in (self.path("data.jsonl"), held_out)}
        self.assertEqual(plan["left_out"], len(by_file[self.path("data.jsonl")]))
        self.assertEqual(plan["records"], 40 - plan["left_out"])
        for path, lines in by_file.items():
            self.assertGreater(len(lines), 0)
            self.assertIn(f"{path}: {len(lines)} of ", result.err)
            for line in lines:
                self.assertGreater(line["tokens"], 75)
                self.assertEqual(line["line"], line["ordinal"] + 1)
        self.assertFails(self.train("none", max_tokens=5), 65, "all 40", "--max-tokens 5")

    def test_records_beyond_the_models_positions_are_refused_never_cut(self):
        long = {"instruction": "again and " * 300, "input": "", "output": "no"}
        data = self.write("long.jsonl", jsonl([*self.records, long]))
        self.assertFails(self.train(data=data), 65, data + ":41", "512 positions", "--max-tokens 512")

    def test_bad_records_name_their_line_or_are_skipped(self):
        bad = ["7", '{"instruction": "a", "input": "b"}',
               '{"instruction": "a", "input": "b", "output": 1}', '{"instruction": ', "\x00"]
        for i, line in enumerate(bad):
            data = self.write("bad.jsonl", jsonl(self.records[:2]) + line + "\n")
            with self.subTest(line):
                self.assertFails(self.train(f"out{i}", data=data), 65, data + ":3")
        data = self.write("bad.jsonl", jsonl(self.records[:8]) + "\n".join(bad) + "\n")
        errors = self.path("errors.jsonl")
        result = self.train(data=data, steps=2, keep_going=True, errors=errors)
        self.assertEqual((result.code, result.out), (1, ""))
        self.assertEqual(result.err, f"gist: {len(bad)} records rejected: they stand with the reasons in {errors}\n")
        self.assertEqual([e["line"] for e in records_of(self.read("errors.jsonl").decode())],
                         list(range(9, 9 + len(bad))))
        self.trained("good", data=self.write("good.jsonl", jsonl(self.records[:8])), steps=2)
        self.assertEqual(self.weights("out"), self.weights("good"))


class Passes(TrainTest):
    def test_epochs_see_every_record_in_a_new_order(self):
        data = self.write("ten.jsonl", jsonl(self.records[:10]))
        self.trained(data=data, steps=None, epochs=3, batch_records=4)
        lines = self.metrics()
        self.assertEqual(len(lines), 9)
        tokens = [line["tokens"] for line in lines]
        self.assertEqual(len({sum(tokens[i:i + 3]) for i in (0, 3, 6)}), 1)
        self.assertNotEqual(tokens[0:3], tokens[3:6])

    def test_the_last_checkpoints_are_kept(self):
        self.trained(save_every=2, keep=2)
        checkpoints = [name for name in os.listdir(self.path("out")) if "-" in name]
        self.assertEqual(sorted(checkpoints), ["checkpoint-4", "checkpoint-6"])
        self.assertIn("optimizer.safetensors", os.listdir(self.path("out/checkpoint-4")))

    def test_a_spike_is_logged_with_its_records(self):
        odd = {"instruction": "a", "input": "b", "output": "Zq9 #|~ @@ %X"}
        data = self.write("odd.jsonl", jsonl([self.records[0]] * 20 + [odd]))
        result = self.train(data=data, batch_records=1, steps=None, epochs=2, lr=0)
        self.assertEqual((result.code, result.out), (0, ""))
        spikes = records_of(self.read("out/spikes.jsonl").decode())
        self.assertEqual(result.err.count("\n"), len(spikes))
        self.assertGreater(len(spikes), 0)
        for spike in spikes:
            self.assertIn(f"step {spike['step']}: the loss jumps", result.err)
            self.assertEqual(spike["records"], [{"line": 21, "ordinal": 20}])
            self.assertGreater(spike["loss"], spike["expected"])


class Plan(TrainTest):
    def test_what_does_not_fit_is_refused_before_it_is_allocated(self):
        config = self.write("config.json", {
            **CONFIG, "hidden_size": 65536, "intermediate_size": 262144, "num_hidden_layers": 200,
            "num_attention_heads": 64, "num_key_value_heads": 64})
        large = {"model": None, "init": config, "tokenizer": STORIES}
        self.assertFails(self.train(**large), 69, "GiB", "weights", "gradients", "optimiser",
                         "activations", "available", "smaller model")
        planned = self.train(**large, dry_run=True)
        self.assertEqual(planned.code, 69)
        self.assertGreater(json.loads(planned.out)["weight_bytes"], 1 << 45)

    @unittest.skipIf(SANITIZED, "sanitizers make allocation slow")
    def test_activations_that_do_not_fit_have_a_remedy(self):
        config = self.write("config.json", {**CONFIG, "intermediate_size": 1 << 20})
        data = self.write("many.jsonl", jsonl(self.records * 100))
        self.assertFails(
            self.train(model=None, init=config, tokenizer=STORIES, data=data, batch_records=4000,
                       batch_tokens=1 << 28, steps=1), 69, "--recompute", "--batch-tokens")


if __name__ == "__main__":
    unittest.main()
