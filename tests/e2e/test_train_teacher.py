"""gist train --teacher: learning from a model that reads the whole prompt."""

import json
import os
import shutil
import unittest

from families import for_each_family
from gist_cli import FIXTURES, jsonl, wordtasks
from training import TrainTest


@for_each_family
class Taught(TrainTest):
    def test_metrics_have_both_parts_of_the_loss_which_falls(self):
        self.trained(teacher="self", steps=12, batch_records=40, lr=1e-4)  # of the same records
        lines = self.metrics()
        for line in lines:
            self.assertEqual(list(line), ["step", "loss", "cross_entropy", "divergence", "lr", "grad_norm",
                                          "tokens", "labels"])
            mean = (line["cross_entropy"] + line["divergence"]) / 2
            self.assertAlmostEqual(line["loss"], mean, delta=1e-6 * mean)
        self.assertLess(lines[-1]["loss"], lines[0]["loss"])

    def test_a_teacher_alone_brings_its_student_nearer(self):
        self.trained(teacher="self", distill=1, steps=12, batch_records=40, lr=1e-4)
        lines = self.metrics()
        self.assertEqual([line["loss"] for line in lines], [line["divergence"] for line in lines])
        self.assertLess(lines[-1]["divergence"], 0.9 * lines[0]["divergence"])

    def test_weight_and_temperature_make_the_loss(self):
        self.trained(teacher="self", distill=0.25, temperature=2, steps=2)
        for line in self.metrics():
            loss = 0.75 * line["cross_entropy"] + 0.25 * 4 * line["divergence"]
            self.assertAlmostEqual(line["loss"], loss, delta=1e-6 * loss)

    def test_a_run_is_resumed_with_the_same_bytes(self):
        options = {"teacher": "self", "save_every": 3, "steps": 6}
        self.trained("whole", keep=9, **options)
        self.as_if_killed("whole", "cut", 3)
        result = self.train("cut", resume=True, keep=9, **options)
        self.assertEqual(result.code, 0, result.err)
        self.assertEqual(self.weights("whole"), self.weights("cut"))

    def test_the_same_directory_by_its_name_is_the_same_teacher(self):
        for name, teacher in (("self", "self"), ("named", self.family.base), ("none", None)):
            self.trained(name, teacher=teacher, steps=2)
        self.assertEqual(self.weights("self"), self.weights("named"))
        self.assertNotEqual(self.weights("self"), self.weights("none"))

    def test_held_out_records_are_measured_by_the_same_loss(self):
        held_out = self.write("held_out.jsonl", jsonl(wordtasks(40, 60)))
        self.trained(teacher="self", eval_data=held_out, eval_every=2, steps=4)
        evaluated = [line for line in self.metrics() if "eval_loss" in line]
        self.assertEqual(len(evaluated), 2)
        for line in evaluated:
            mean = (line["eval_cross_entropy"] + line["eval_divergence"]) / 2
            self.assertAlmostEqual(line["eval_loss"], mean, delta=1e-6 * mean)

    def test_a_dry_run_counts_the_teacher(self):
        plan = json.loads(self.train(dry_run=True).out)
        taught = json.loads(self.train(dry_run=True, teacher="self").out)
        self.assertEqual(plan["teacher_bytes"], 0)
        self.assertGreater(taught["teacher_bytes"], 0)
        self.assertGreater(taught["flops"], 1.2 * plan["flops"])
        parts = ("weight_bytes", "gradient_bytes", "optimiser_bytes", "teacher_bytes", "activation_bytes")
        self.assertEqual(taught["memory_bytes"], sum(taught[part] for part in parts))


class Refused(TrainTest):
    def assertRefused(self, code, words, **options):
        result = self.train("out", **options)
        self.assertEqual((result.code, result.out), (code, ""), result.err)
        self.assertEqual(result.err.count("\n"), 1, result.err)
        self.assertIn(words, result.err)

    def test_what_says_how_a_teacher_teaches_needs_one(self):
        self.assertRefused(64, "needs --teacher", distill=0.5)
        self.assertRefused(64, "needs --teacher", temperature=2)
        self.assertRefused(64, "above 0", teacher="self", distill=0)
        self.assertRefused(64, "--temperature", teacher="self", temperature=0)

    def test_a_new_model_has_no_self(self):
        config = self.write("config.json", self.family.config)
        self.assertRefused(64, "--teacher self", model=None, init=config,
                           tokenizer=self.family.tokenizer, teacher="self")

    def test_a_teacher_of_another_vocabulary_is_named(self):
        other = FIXTURES / "models/wordtasks-llama-gist"
        self.assertRefused(65, f"{other} can't teach", teacher=other)

    def test_a_resumed_run_keeps_its_teacher(self):
        self.trained(teacher="self", save_every=2, steps=4, keep=9)
        shutil.rmtree(self.path("out/checkpoint-4"), ignore_errors=True)
        os.remove(self.path("out/training.json"))
        result = self.train(save_every=2, steps=4, keep=9, resume=True)
        self.assertEqual(result.code, 64, result.err)
        self.assertIn("--teacher", result.err)
        result = self.train(save_every=2, steps=4, keep=9, resume=True, teacher="self", distill=0.9)
        self.assertEqual(result.code, 64, result.err)
        self.assertIn("--distill", result.err)


if __name__ == "__main__":
    unittest.main()
