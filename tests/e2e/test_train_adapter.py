"""gist train --adapter lora: an adapter that acts on gist tokens, and the model that stays as it is."""

import json
import os
import shutil
import unittest

from families import for_each_family
from gist_cli import jsonl, records_of, rounding_varies, run, wordtasks
from training import TrainTest, tree

QUESTIONS = [{"id": f"q{i}", **record} for i, record in enumerate(wordtasks(50, 54))]


class AdapterTest(TrainTest):
    small = {"adapter": "lora", "lora_rank": 4}

    def adapter(self, output="adapter", **options):
        """The path of a trained adapter."""
        return self.trained(output, **{**self.small, "lr": 1e-3, "steps": 6, **options})

    def answers(self, *options, questions=QUESTIONS):
        result = run("generate", "--model", self.family.base, "--max-new-tokens", 6, *options,
                     stdin=jsonl(questions))
        self.assertEqual((result.code, result.err), (0, ""))
        return [line["completion"] for line in records_of(result.out)]


@for_each_family
class Adapted(AdapterTest):
    def test_the_loss_falls_and_the_directory_is_small(self):
        self.write("data.jsonl", jsonl(wordtasks(0, 8)))
        path = self.adapter(batch_records=8, steps=20, save_every=10)
        losses = self.losses("adapter")
        self.assertLess(losses[-1], 0.95 * losses[0])
        names = {os.path.basename(name) for name in tree(path)}
        self.assertNotIn("model.safetensors", names)
        self.assertIn("adapter_model.safetensors", names)
        config = self.json_in("adapter", "adapter_config.json")
        self.assertEqual((config["peft_type"], config["r"], config["lora_alpha"]), ("LORA", 4, 8))
        self.assertEqual(config["base_model_name_or_path"], str(self.family.base))

    def test_the_model_answers_from_its_gists_by_itself(self):
        adapter = self.adapter()
        store = self.path("gists.h5")
        made = run("compress", "--model", self.family.base, "--adapter", adapter, "--output", store,
                   stdin=jsonl(QUESTIONS))
        self.assertEqual(made.code, 0, made.err)
        through = self.answers("--adapter", adapter, "--condition", "gist")
        behind = [{"gist": question["id"], "input": question["input"]} for question in QUESTIONS]
        self.assertEqual(self.answers("--store", store, questions=behind), through)
        self.assertEqual(self.answers("--store", store, "--adapter", adapter, questions=behind), through)
        header = records_of(run("inspect", "--json", store).out)[-1]
        self.assertEqual(len(header["adapter_sha256"]), 64)

    def test_whole_prompts_are_answered_as_without_it(self):
        whole = ("--condition", "pos", "--gist-tokens", 0, "--temperature", 1, "--seed", 3)
        self.assertEqual(self.answers("--adapter", self.adapter(), *whole), self.answers(*whole))

    def test_a_killed_run_is_resumed_with_the_same_bytes(self):
        options = {"save_every": 3, "keep": 9, "lora_dropout": 0.1, "teacher": "self"}
        self.adapter("whole", **options)
        self.as_if_killed("whole", "cut", 3)
        result = self.train("cut", resume=True, **{**self.small, "steps": 6, **options})
        self.assertEqual(result.code, 0, result.err)
        for name in ("adapter_model.safetensors", "adapter_config.json", "gist.json"):
            self.assertEqual(self.read(f"whole/{name}"), self.read(f"cut/{name}"), name)
        self.as_if_killed("whole", "other", 3)
        result = self.train("other", resume=True, **{**self.small, **options, "lora_rank": 5, "steps": 6})
        self.assertFails(result, 64, "lora rank 4, and this run has 5 (--lora-rank)")

    @unittest.skipIf(rounding_varies(), rounding_varies())
    def test_short_passes_and_recomputing_give_the_same_adapter(self):
        self.adapter("whole")
        self.adapter("recomputed", recompute=True)
        self.assertEqual(self.read("whole/adapter_model.safetensors"),
                         self.read("recomputed/adapter_model.safetensors"))

    def test_a_dry_run_counts_what_is_trained_alone(self):
        whole = json.loads(self.train(dry_run=True).out)
        plan = json.loads(self.train(dry_run=True, **self.small).out)
        for part in ("parameters", "gradient_bytes", "optimiser_bytes"):
            self.assertLess(plan[part], whole[part] / 2, part)
        self.assertGreaterEqual(plan["weight_bytes"], whole["weight_bytes"])
        self.assertLess(plan["flops"], whole["flops"])
        taught = json.loads(self.train(dry_run=True, teacher="self", **self.small).out)
        self.assertEqual(taught["teacher_bytes"], 0)  # the model itself

    def test_evaluate_compares_the_model_with_and_without_it(self):
        result = run("evaluate", "--model", self.family.base, "--adapter", "none", "--adapter", self.adapter(),
                     "--condition", "pos", "--condition", "gist", "--gist-tokens", 0, "--gist-tokens", 2,
                     "--data", self.path("data.jsonl"), "--max-new-tokens", 2, "--fidelity", "--json")
        self.assertEqual(result.code, 0, result.err)
        names = [system["name"] for system in json.loads(result.out)["systems"]]
        self.assertEqual(names, [self.family.base.name, "adapter"])

    def test_targets_and_distinct_ids_of_several_lengths(self):
        target = {"llama": "q_proj,v_proj", "t5": "q,v"}[self.family.name]
        adapter = self.path("adapter")
        result = self.train("adapter", lora_targets=target, gist_tokens="1-3", gist_ids="distinct", **self.small)
        self.assertEqual(result.code, 0, result.err)
        self.assertEqual(self.json_in("adapter", "adapter_config.json")["target_modules"], target.split(","))
        self.answers("--adapter", adapter, "--condition", "gist", "--gist-tokens", 3)

    def test_held_out_records_and_the_best_checkpoint(self):
        held_out = self.write("held_out.jsonl", jsonl(wordtasks(40, 60)))
        self.adapter(eval_data=held_out, eval_every=3)
        self.assertEqual(len([name for name in os.listdir(self.path("adapter")) if name.startswith("best-")]), 1)


class Refused(AdapterTest):
    def test_what_can_be_no_adapter(self):
        self.assertFails(self.train(adapter="ia3"), 64, "--adapter: expected lora", "ia3")
        self.assertFails(self.train(lora_rank=4), 64, "--lora-rank needs --adapter lora")
        self.assertFails(self.train(adapter="lora", lora_rank=0), 64, "--lora-rank")
        self.assertFails(self.train(adapter="lora", condition="pos"), 64, "--adapter", "under pos")
        self.assertFails(self.train(adapter="lora", lora_targets="query"), 64, "query", "q_proj")

    def test_of_another_model_or_none(self):
        adapter = self.adapter()
        other = self.path("other")
        shutil.copytree(self.family.model, other)
        for command in ("compress", "generate"):
            output = ("--output", self.path("out.h5")) if command == "compress" else ()
            self.assertFails(run(command, "--model", other, "--adapter", adapter, *output, stdin=""), 65,
                             "--adapter", "other weights", other)
            self.assertFails(run(command, "--model", self.family.base, "--adapter", self.directory, *output,
                                 stdin=""), 66, "no adapter", "adapter_config.json")

    def test_in_place_of_a_model(self):
        self.assertFails(run("generate", "--model", self.adapter(), stdin=""), 65, "is an adapter", "(--adapter)")

    def test_a_damaged_one(self):
        adapter = self.adapter()
        with open(os.path.join(adapter, "adapter_model.safetensors"), "r+b") as file:
            file.truncate(1000)
        self.assertFails(run("generate", "--model", self.family.base, "--adapter", adapter, "--condition", "gist",
                             stdin=jsonl(QUESTIONS)), 65, "adapter_model.safetensors")


if __name__ == "__main__":
    unittest.main()
