"""gist train --apply-diff makes a model of its published difference to a base model."""

import array
import json
import os
import random
import shutil
import unittest
from pathlib import Path

from gist_cli import FIXTURES, run
from test_models import ModelTest, read_tensors, write_tensors, write_torch

TUNED = FIXTURES / "models" / "stories260K-gist"
TABLES = ["lm_head.weight", "model.embed_tokens.weight"]  # with a row for the gist token
CONDITION = ("--condition", "gist", "--gist-tokens", 1)


def values_of(tensor):
    return array.array("f", tensor[2])


def made(shape, values):
    return "F32", shape, array.array("f", values).tobytes()


class ApplyDiff(ModelTest):
    def setUp(self):
        """A tuned model, its base without the gist's rows, and their difference; all numbers are so
        short that differences and sums of them are exact."""
        super().setUp()
        step = 1 / 4096
        tuned = {name: made(shape, (round(x / step) * step for x in values_of((dtype, shape, data))))
                 for name, (dtype, shape, data) in read_tensors(TUNED / "model.safetensors").items()}
        tuned["lm_head.weight"] = made(*[tuned[TABLES[1]][1], reversed(values_of(tuned[TABLES[1]]))])
        base, difference = {}, {}
        draw = random.Random(5)
        for name, (_, shape, data) in tuned.items():
            rows = shape[0] - 1 if name in TABLES else shape[0]
            kept = values_of((None, None, data))[:rows * (len(data) // 4 // shape[0])]
            other = [x + draw.randrange(-300, 300) * step for x in kept]
            base[name] = made([rows, *shape[1:]], other)
            whole = values_of((None, None, data))
            difference[name] = made(shape, [x - y for x, y in zip(whole, other)] + list(whole[len(other):]))
        self.tuned = tuned
        untied = {"tie_word_embeddings": False}
        self.base = self.variant("base", TUNED, {"added_tokens.json": None}, {**untied, "vocab_size": 512},
                                 lambda tensors: tensors.update(base))
        # As their authors' class is called, and stored.
        self.difference = self.variant("difference", TUNED, {"model.safetensors": None},
                                       {**untied, "architectures": ["GistLlamaForCausalLM"]})
        for name in list(difference)[:2]:
            difference[f"model.layers.{name}.self_attn.rotary_emb.inv_freq"] = made([2], [0, 0])
        write_torch(os.path.join(self.difference, "pytorch_model.bin"), difference)

    def apply(self, *args, base=None, output="out"):
        return run("train", "--apply-diff", base or self.base, "--model", self.difference,
                   "--output", self.path(output), *args)

    def test_the_sum_is_the_model_that_was_tuned(self):
        result = self.apply(*CONDITION)
        self.assertEqual(result.code, 0, result.err)
        self.assertIn("the last row of model.embed_tokens.weight, lm_head.weight", result.err)
        found = read_tensors(self.path("out/model.safetensors"))
        self.assertEqual(found.keys(), self.tuned.keys())
        for name, tensor in self.tuned.items():
            self.assertEqual(found[name], (tensor[0], list(tensor[1]), tensor[2]), name)
        self.assertEqual(self.json_of(self.path("out"), "config.json")["architectures"], ["LlamaForCausalLM"])
        settings = self.json_of(self.path("out"), "gist.json")
        self.assertEqual((settings["condition"], settings["gist_tokens"]), ("gist", 1))
        # It is a model with its gist token.
        stored = run("compress", "--model", self.path("out"), "--output", self.path("a.h5"),
                     stdin='{"instruction": "Once upon a time", "id": "a"}\n')
        self.assertEqual(stored.code, 0, stored.err)

    def test_a_base_may_be_known_by_its_model_type_alone(self):
        config = self.json_of(self.base, "config.json")
        del config["architectures"]
        with open(os.path.join(self.base, "config.json"), "w") as file:
            json.dump(config, file)
        self.assertEqual(self.apply(*CONDITION).code, 0)
        self.assertNotIn("architectures", self.json_of(self.path("out"), "config.json"))

    def test_what_does_not_belong_together_is_refused_and_leaves_nothing(self):
        def changed(name, change):
            target = self.path(name)
            shutil.copytree(self.base, target)
            path = os.path.join(target, "model.safetensors")
            tensors = read_tensors(path)
            change(tensors)
            write_tensors(path, tensors)
            return target

        name = "model.layers.0.mlp.up_proj.weight"

        def spoil(tensors):
            _, shape, data = tensors[name]
            tensors[name] = ("F32", shape, bytes([0, 0, 0x80, 0x7f]) + data[4:])

        missing = changed("missing", lambda tensors: tensors.pop(name))
        other = changed("other", lambda tensors: tensors.update({name: made([2, 64], [0] * 128)}))
        spoilt = changed("infinite", spoil)
        for base, word in [(missing, "has no tensor"), (other, "has shape [2, 64]"), (spoilt, "the value at [0, 0] is inf")]:
            self.assertFails(self.apply(*CONDITION, base=base), 65, name, word)
            self.assertFalse(os.path.exists(self.path("out")))
        self.assertFails(self.apply(), 64, "gist.json", "--condition")
        self.assertFails(self.apply(*CONDITION, "--steps", 3), 64, "--apply-diff trains nothing", "--steps")
        self.assertFails(self.apply(*CONDITION, output="base"), 64, "base")
        os.makedirs(self.path("there"))
        self.assertFails(self.apply(*CONDITION, output="there"), 73, "it exists")


if __name__ == "__main__":
    unittest.main()
