"""gist train: every way in which a run can end, and how it goes on."""

import json
import os
import random
import resource
import shutil
import signal
import subprocess
import time
import unittest

from families import for_each_family
from gist_cli import GIST, SANITIZED, bf16_missing, environment, jsonl, records_of, wordtasks
from training import CONFIG, STORIES, TrainTest, spoil, tree


class ResumeTest(TrainTest):
    """A run, and checkpoints that it left on its way."""

    def setUp(self):
        super().setUp()
        self.trained("whole", save_every=2, keep=10)

    def resumed(self, output, code=0, **options):
        result = self.train(output, save_every=2, resume=True, **options)
        self.assertEqual(result.code, code, result.err)
        return result


@for_each_family
class Proofs(ResumeTest):
    def test_a_checkpoint_goes_on_to_the_same_bytes(self):
        for step in (2, 6):
            name = f"after{step}"
            self.as_if_killed("whole", name, step)
            result = self.resumed(name)
            self.assertEqual((result.out, result.err), ("", f"gist: resuming after step {step}\n"))
            self.assertEqual(self.weights(name), self.weights("whole"))
            self.assertEqual(self.metrics(name), self.metrics("whole"))


class Resume(ResumeTest):
    def test_a_checkpoint_is_a_model(self):
        for name in tree(self.path("whole")):
            if "/" not in name and name != "metrics.jsonl" and not name.startswith("checkpoint-"):
                self.assertTrue(os.path.exists(self.path(f"whole/checkpoint-2/{name}")), name)

    def test_a_finished_run_has_nothing_to_resume(self):
        before = {name: os.stat(os.path.join(self.path("whole"), name)).st_mtime_ns
                  for name in tree(self.path("whole"))}
        result = self.resumed("whole")
        self.assertIn("nothing to resume", result.err)
        self.assertEqual(before, {name: os.stat(os.path.join(self.path("whole"), name)).st_mtime_ns
                                  for name in tree(self.path("whole"))})

    def test_resume_of_nothing_starts_afresh(self):
        os.mkdir(self.path("empty"))
        for name in ("none", "empty"):
            self.assertEqual(self.resumed(name).err, "")
            self.assertEqual(self.weights(name), self.weights("whole"))

    def test_without_resume_an_output_that_is_not_empty_is_refused(self):
        self.as_if_killed("whole", "killed", 4)
        self.write("file", "x")
        for name in ("killed", "whole", "file/x", "file"):
            before = tree(self.path("."))
            self.assertFails(self.train(name), 73, "--output", name)
            self.assertEqual(tree(self.path(".")), before)
        self.assertIn("--resume", self.train("killed").err)

    def test_resume_writes_in_no_directory_that_holds_no_run(self):
        shutil.copytree(STORIES, self.path("model"))
        self.assertFails(self.train("model", resume=True), 73, "no run")
        self.assertFails(self.train("model", model=self.path("model"), resume=True), 64, "--model")
        self.assertEqual(self.weights("model"), (STORIES / "model.safetensors").read_bytes())
        self.assertEqual(tree(self.path("model")), tree(STORIES))
        self.assertFails(self.train("whole/checkpoint-2", resume=True), 64, "step 2 of 8")

    def test_other_options_are_refused_and_named(self):
        self.as_if_killed("whole", "killed", 4)
        template = self.write("template.json", ["bos", "gist", {"text": "{input}"}])
        for name, value in (("lr", 1e-4), ("steps", 9), ("batch_records", 5), ("seed", 3),
                            ("warmup", 1), ("beta2", 0.9), ("weight_decay", 0.1), ("clip", 0),
                            ("schedule", "cosine"), ("gist_tokens", 1), ("condition", "neg"),
                            ("template", template), ("dtype", "bf16")):
            for output in ("killed", "whole"):
                with self.subTest(name, output=output):
                    if name == "dtype" and bf16_missing():
                        self.skipTest(bf16_missing())
                    self.assertFails(self.train(output, resume=True, **{name: value}), 64,
                                     self.path(output), "--" + name.replace("_", "-"))
        self.assertEqual(tree(self.path("killed"))[-1], "metrics.jsonl")

    def test_another_model_or_other_records_are_refused(self):
        self.as_if_killed("whole", "killed", 4)
        other = self.write("other.jsonl", jsonl(wordtasks(1, 41)))
        self.assertFails(self.train("killed", resume=True, data=other), 65, "--data")
        self.assertFails(self.train("killed", resume=True, max_tokens=75), 65,
                         "--max-tokens")
        self.assertEqual(tree(self.path("killed"))[-1], "metrics.jsonl")
        self.assertFails(self.train("killed", resume=True, model=self.path("whole")), 65,
                         "another model")

    def test_damaged_checkpoints_are_named(self):
        def truncate(path):
            os.truncate(path, os.path.getsize(path) // 2)

        def edit(**members):
            def edited(path):
                with open(path) as file:
                    content = json.load(file)
                content.update(members)
                with open(path, "w") as file:
                    json.dump({k: v for k, v in content.items() if v is not None}, file)
            return edited

        cases = [("optimizer.safetensors", truncate, 65), ("optimizer.safetensors", os.remove, 65),
                 ("model.safetensors", truncate, 65), ("model.safetensors", os.remove, 65),
                 ("training.json", truncate, 65), ("training.json", os.remove, 65),
                 ("training.json", edit(step=None), 65), ("training.json", edit(settings=None), 65),
                 ("training.json", edit(base_sha256=7), 65), ("training.json", edit(step=-3), 65),
                 ("training.json", edit(step=9), 65), ("training.json", edit(best=[]), 65),
                 ("training.json", edit(version="2.0"), 65), ("training.json", edit(format="x"), 65)]
        for i, (name, damage, code) in enumerate(cases):
            with self.subTest(case=i, name=name):
                checkpoint = self.as_if_killed("whole", f"damaged{i}", 4)
                damage(self.path(os.path.join(checkpoint, name)))
                before = tree(self.path(f"damaged{i}"))
                self.assertFails(self.train(f"damaged{i}", resume=True), code, checkpoint)
                self.assertEqual(tree(self.path(f"damaged{i}")), before)

    def test_a_damaged_state_of_a_finished_run_says_what_to_do(self):
        shutil.copytree(self.path("whole"), self.path("spoilt"))
        state = self.path("spoilt/training.json")
        with open(state) as file:
            content = file.read()
        with open(state, "w") as file:
            file.write(content.replace('"step": 8', '"step": 7'))
        self.assertFails(self.train("spoilt", resume=True), 65, state, "damaged",
                         f"remove {state}, and a resumed run (--resume)")
        os.remove(state)
        self.assertEqual(self.train("spoilt", resume=True).code, 0)
        self.assertEqual(self.weights("spoilt"), self.weights("whole"))

    def test_a_byte_that_is_another_is_damage_of_a_tensor_and_a_file(self):
        rng = random.Random(5)
        sizes = {}
        for name in ("model.safetensors", "optimizer.safetensors", "training.json", "config.json", "checksums.json"):
            with self.subTest(name):
                checkpoint = self.as_if_killed("whole", f"flip-{name}", 4)
                shutil.copytree(self.path("whole/checkpoint-2"), self.path(f"flip-{name}/checkpoint-2"))
                path = self.path(os.path.join(checkpoint, name))
                sizes[name] = os.path.getsize(path)
                with open(path, "r+b") as file:
                    at = rng.randrange(sizes[name] // 2, sizes[name]) if name != "checksums.json" else 20
                    file.seek(at)
                    byte = file.read(1)[0]
                    file.seek(at)
                    file.write(bytes([byte ^ 1]))
                result = self.train(f"flip-{name}", resume=True)
                self.assertFails(result, 65, os.path.join(checkpoint, name), "checkpoint-2")
                if name.endswith(".safetensors"):
                    self.assertIn("tensor", result.err)
        shutil.rmtree(self.path("flip-config.json/checkpoint-4"))
        self.resumed("flip-config.json")
        self.assertEqual(self.weights("flip-config.json"), self.weights("whole"))

    def test_records_that_were_rejected_are_an_exit_code_again(self):
        data = self.write("bad.jsonl", jsonl(self.records) + "nonsense\n")
        for resume in (None, True):
            self.assertEqual(self.train("rejects", data=data, keep_going=True, resume=resume).code, 1)

    def test_the_best_shares_its_weights_with_what_equals_it(self):
        held_out = self.write("held_out.jsonl", jsonl(wordtasks(40, 50)))
        out = self.trained("best", eval_data=held_out, eval_every=2, save_every=2, keep=5)
        best = [name for name in os.listdir(out) if name.startswith("best-")][0]
        twin = out if best == "best-8" else os.path.join(out, "checkpoint-" + best[5:])
        self.assertTrue(os.path.samefile(os.path.join(out, best, "model.safetensors"),
                                         os.path.join(twin, "model.safetensors")))

    def test_a_log_that_is_damaged_is_no_obstacle(self):
        self.as_if_killed("whole", "killed", 4)
        with open(self.path("killed/metrics.jsonl"), "a") as file:
            file.write('{"step": "x"}\n[7]\n\x00\n{"step": 1, "loss": ')
        self.resumed("killed")
        self.assertEqual(self.metrics("killed"), self.metrics("whole"))

    def test_a_diverged_run_keeps_its_last_checkpoint(self):
        checkpoint = self.as_if_killed("whole", "killed", 4)
        spoil(self.path(f"{checkpoint}/model.safetensors"), "model.norm.weight", 0, 3e38)  # finite, but not for long
        os.remove(self.path(f"{checkpoint}/checksums.json"))  # as an older gist left it
        result = self.train("killed", resume=True)
        self.assertEqual(result.code, 65, result.err)
        self.assertIn("checksums.json", result.err.splitlines()[0])
        why = result.err.splitlines()[-1]
        for word in ("step 5", "infinite", checkpoint, "--lr"):
            self.assertIn(word, why)
        self.assertEqual([n for n in os.listdir(self.path("killed")) if "-" in n], ["checkpoint-4"])
        [diverged] = records_of(self.read("killed/spikes.jsonl").decode())
        self.assertEqual((diverged["step"], len(diverged["records"])), (5, 4))

    def test_a_rate_that_is_too_high_stops_the_run(self):
        # Weights grow a thousandfold a step. Only a step shows whether a checkpoint is good.
        result = self.train("out", lr=1, weight_decay=1000, schedule="constant", steps=30,
                            save_every=1, keep=1)
        self.assertFails(result, 65, "step ", "--lr", "checkpoint-")
        last = len(self.losses("out"))
        self.assertEqual(sorted(n for n in os.listdir(self.path("out")) if "-" in n),
                         [f"checkpoint-{last - 1}", f"checkpoint-{last}"])

    def test_a_held_out_loss_that_is_no_number_stops_the_run(self):
        config = self.write("config.json", {**CONFIG, "tie_word_embeddings": False})
        model = self.trained("base", model=None, init=config, tokenizer=STORIES, steps=1)
        omega = 3 + 0xCE  # the first byte's token: no other record has it
        spoil(os.path.join(model, "model.safetensors"), "model.embed_tokens.weight",
              omega * CONFIG["hidden_size"], 3e38)
        held_out = self.write("held_out.jsonl", jsonl([{**self.records[0], "input": "\u03a9"}]))
        result = self.train(model=model, eval_data=held_out, eval_every=3)
        self.assertFails(result, 65, "step 3", "held-out", "not a number", "--lr")
        self.assertEqual(os.listdir(self.path("out")), ["metrics.jsonl"])

    def test_a_full_disk_leaves_the_last_good_checkpoint(self):
        self.as_if_killed("whole", "killed", 4)

        def small_files():  # enough for the weights, not for the optimiser's state
            resource.setrlimit(resource.RLIMIT_FSIZE, (3 << 19, resource.RLIM_INFINITY))
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

        result = self.train("killed", resume=True, save_every=2, preexec=small_files)
        self.assertEqual(result.code, 74, result.err)
        self.assertEqual(len(result.err.splitlines()), 2, result.err)
        self.assertIn("optimizer.safetensors", result.err)
        self.assertEqual([n for n in os.listdir(self.path("killed")) if "-" in n], ["checkpoint-4"])
        self.resumed("killed")
        self.assertEqual(self.weights("killed"), self.weights("whole"))


@for_each_family
class Kills(TrainTest):
    def test_survives_kill_9_at_any_moment(self):
        held_out = self.write("held_out.jsonl", jsonl(wordtasks(40, 50)))
        options = {"steps": 12 if SANITIZED else 20, "save_every": 4, "batch_records": 2,
                   "eval_data": held_out, "eval_every": 3}
        start = time.monotonic()
        self.trained("calm", **options)
        duration = time.monotonic() - start
        rng = random.Random(3)
        for attempt in range(1 if SANITIZED else 4):
            name = f"killed{attempt}"
            for _ in range(2):
                with self.start(name, resume=True, **options) as process:
                    time.sleep(rng.uniform(0, 0.8) * duration)
                    process.kill()
            result = self.train(name, resume=True, **options)
            self.assertEqual(result.code, 0, result.err)
            self.assertEqual(tree(self.path(name)), tree(self.path("calm")))
            self.assertEqual(self.weights(name), self.weights("calm"))
            self.assertEqual(self.metrics(name), self.metrics("calm"))
            self.assertEqual(self.json_in(name, "training.json"), self.json_in("calm", "training.json"))

    def test_a_signal_finishes_the_step_and_says_how_to_resume(self):
        steps = 60 if SANITIZED else 200
        options = {"steps": steps, "batch_records": 1}
        for stop in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            name = stop.name
            with self.start(name, **options) as process:
                self.wait_for_step(process, name)
                process.send_signal(stop)
                out, err = process.communicate(timeout=60)
            self.assertEqual((process.returncode, out), (-stop, ""))
            [checkpoint] = [n for n in os.listdir(self.path(name)) if n.startswith("checkpoint-")]
            step = int(checkpoint.rpartition("-")[2])
            self.assertIn(f"stopped after step {step} of {steps}", err)
            self.assertIn("--resume", err)
            self.assertEqual(len(self.metrics(name)), step)
        self.assertEqual(self.train("SIGINT", resume=True, **options).code, 0)
        self.trained("calm", **options)
        self.assertEqual(self.weights("SIGINT"), self.weights("calm"))
        self.assertEqual(self.metrics("SIGINT"), self.metrics("calm"))


class Interrupted(TrainTest):
    def test_a_signal_while_it_waits_for_records_ends_it(self):
        command = [GIST, *self.arguments(data="-")]
        with subprocess.Popen(command, env=environment(), stdin=subprocess.PIPE,
                              stderr=subprocess.PIPE) as process:
            while not os.path.exists(self.path("out")):
                time.sleep(0.01)
            time.sleep(0.3)
            process.send_signal(signal.SIGINT)
            self.assertEqual(process.wait(timeout=60), -signal.SIGINT)
            self.assertEqual(process.stderr.read(), b"")
        self.assertEqual(os.listdir(self.path("out")), [])

    def test_a_second_run_on_the_same_output_is_told_who_holds_it(self):
        with self.start(steps=100000) as process:
            self.wait_for_step(process, "out")
            for resume in (None, True):
                self.assertFails(self.train(steps=100000, resume=resume), 75, process.pid,
                                 self.path("out"))
            process.kill()
        self.assertFails(self.train(steps=100000), 73, "--resume")

    def test_a_spike_that_is_met_again_is_listed_once(self):
        odd = {"instruction": "a", "input": "b", "output": "Zq9 #|~ @@ %X"}
        data = self.write("odd.jsonl", jsonl([self.records[0]] * 20 + [odd]))
        options = {"data": data, "batch_records": 1, "steps": 42, "lr": 0, "save_every": 17, "keep": 5}
        self.train("calm", **options)
        spikes = self.read("calm/spikes.jsonl")
        self.assertEqual(self.as_if_killed("calm", "again", 17), "again/checkpoint-17")
        shutil.copy(self.path("calm/spikes.jsonl"), self.path("again"))
        self.assertEqual(self.train("again", resume=True, **options).code, 0)
        self.assertEqual(self.read("again/spikes.jsonl"), spikes)


if __name__ == "__main__":
    unittest.main()
