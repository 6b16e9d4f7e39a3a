"""Encoder-decoders through the same commands: what is theirs alone."""

import json
import os
import shutil
import unittest

from families import T5, UNDER_GIST
from gist_cli import jsonl, records_of, run, wordtasks
from training import TrainTest

SHARED, ENCODER, DECODER = (
    name + ".weight" for name in ("shared", "encoder.embed_tokens", "decoder.embed_tokens"))


def rename_tensor(path, name, others):
    """Writes a safetensors file anew, with a copy of tensor `name` under each of the other names."""
    with open(path, "rb") as file:
        data = file.read()
    end = 8 + int.from_bytes(data[:8], "little")
    header, body = {}, b""
    for key, entry in json.loads(data[8:end]).items():
        if key == "__metadata__":
            continue
        begin, stop = entry["data_offsets"]
        for each in others if key == name else (key,):
            header[each] = {**entry, "data_offsets": [len(body), len(body) + stop - begin]}
            body += data[end + begin : end + stop]
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text + body)


class EncoderDecoder(TrainTest):
    family = T5

    def copy_of_model(self, name, **config):
        shutil.copytree(T5.model, self.path(name))
        self.write(f"{name}/config.json", {**self.json_in(name, "config.json"), **config})
        return self.path(name)

    def answers(self, model=T5.model):
        done = run("generate", "--model", model, UNDER_GIST, stdin=jsonl(wordtasks(0, 10)))
        self.assertEqual((done.code, done.err), (0, ""))
        return done.out

    def test_a_whole_prompt_can_not_be_kept(self):
        done = run("compress", "--model", T5.model, "--gist-tokens", 1, "--full-prompt",
                   "--output", self.path("out.h5"), stdin=jsonl(wordtasks(0, 1)))
        self.assertFails(done, 64, "--full-prompt", "encoder")

    def test_the_decoder_starts_with_the_token_of_the_configuration(self):
        self.assertEqual(self.answers(self.copy_of_model("pad", decoder_start_token_id=0)),
                         self.answers())
        self.assertNotEqual(self.answers(self.copy_of_model("other", decoder_start_token_id=5)),
                            self.answers())

    def test_a_table_with_more_rows_than_tokens_is_kept(self):
        config = self.write("config.json", {**T5.config, "vocab_size": 768})
        self.trained(model=None, init=config, tokenizer=T5.tokenizer, steps=1)
        self.assertEqual(self.json_in("out", "config.json")["vocab_size"], 768)
        self.assertEqual(self.json_in("out", "added_tokens.json"), {"<GIST>": T5.gist_token})
        # Rows without a token are as likely as others in an untrained model: they say nothing.
        result = run("generate", "--model", self.path("out"), "--max-new-tokens", 40, "--temperature", 2,
                     stdin=jsonl(wordtasks(0, 8)))
        self.assertEqual((result.code, len(records_of(result.out))), (0, 8), result.err)

    def test_dropout_is_that_of_the_configuration(self):
        self.trained("unsaid", steps=2)
        for name, rate in (("usual", 0.1), ("none", 0)):
            self.trained(name, model=self.copy_of_model(name + "-base", dropout_rate=rate), steps=2)
        self.assertEqual(self.weights("usual"), self.weights("unsaid"))
        self.assertNotEqual(self.weights("none"), self.weights("unsaid"))

    def test_the_embedding_may_stand_under_any_of_its_names(self):
        self.trained("from-shared", steps=2)
        for names in ((ENCODER,), (ENCODER, DECODER), (SHARED, ENCODER, DECODER)):
            with self.subTest(names):
                name = str(len(names))
                model = self.copy_of_model(name)
                rename_tensor(os.path.join(model, "model.safetensors"), SHARED, names)
                self.assertEqual(self.answers(model), self.answers())
                self.trained("from-" + name, model=model, steps=2)
                self.assertEqual(self.weights("from-" + name), self.weights("from-shared"))


if __name__ == "__main__":
    unittest.main()
