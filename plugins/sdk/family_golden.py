#!/usr/bin/env python3
"""Writes what transformers computes with a model, for `gist plugins check --checkpoint MODEL --golden OUTPUT`.

usage: family_golden.py MODEL OUTPUT.safetensors [LENGTH ...]
needs: pip install torch transformers

MODEL is a Hugging Face directory. LENGTHs are those of the rows, 7 and 40 tokens drawn at random, and one that
crosses the model's window, if that is no longer than 1000. Everything is computed in float32. OUTPUT holds, for each
row R and stack S (0: a decoder, or an encoder, whose decoder is 1):

    R.stackS.input_ids  int32 [n]
    R.stackS.hidden     float32 [layers + 2, n, d]: behind the embedding, behind each layer, behind the last norm
    R.logits            float32 [m, vocabulary], of the last m positions of the stack that answers
    R.losses            float32 [m - 1], the cross-entropy of the token that follows each of them
"""

import random
import sys

import torch
import transformers
from safetensors.torch import save_file

KEPT = 8  # positions whose logits are written


def load(directory):
    config = transformers.AutoConfig.from_pretrained(directory)
    model = getattr(transformers, config.architectures[0]).from_pretrained(directory, attn_implementation="eager")
    return model.float().eval()


def stacks_of(model):
    if model.config.is_encoder_decoder:
        return [model.get_encoder(), model.get_decoder()]
    return [model.get_decoder() if model.base_model is model else model.base_model]


def layers_of(stack):
    """The list of modules that is the stack's layers, whatever it is called."""
    return max((child for child in stack.children() if isinstance(child, torch.nn.ModuleList)), key=len)


def first(output):
    return output if torch.is_tensor(output) else output[0]


class HiddenStates:
    """What enters and leaves a stack's layers while the model runs."""

    def __init__(self, stack):
        self.states = []
        layers = layers_of(stack)
        layers[0].register_forward_pre_hook(self.entering, with_kwargs=True)
        for layer in layers:
            layer.register_forward_hook(self.leaving)
        stack.register_forward_hook(self.leaving)

    def entering(self, _module, args, kwargs):
        self.states = [args[0] if args else kwargs["hidden_states"]]

    def leaving(self, _module, _args, output):
        self.states.append(first(output))

    def tensor(self):
        return torch.stack([state[0] for state in self.states]).float().contiguous()


def lengths_for(config):
    window = getattr(config, "sliding_window", None) or 0
    wanted = [7, 40] + ([window + 9] if 40 <= window + 9 and window <= 1000 else [])
    most = getattr(config, "max_position_embeddings", None) or getattr(config, "n_positions", None) or wanted[-1]
    return sorted({min(length, most) for length in wanted})


def golden_of(model, lengths):
    config = model.config
    stacks = stacks_of(model)
    watched = [HiddenStates(stack) for stack in stacks]
    draw = random.Random(1)
    tensors = {}

    def ids_of(length):
        return [draw.randrange(config.vocab_size) for _ in range(length)]

    for row, length in enumerate(lengths):
        ids = [ids_of(length)]
        inputs = {"input_ids": torch.tensor([ids[0]])}
        if len(stacks) == 2:
            ids.append([config.decoder_start_token_id] + ids_of(length - 1))
            inputs["decoder_input_ids"] = torch.tensor([ids[1]])
        with torch.no_grad():
            logits = model(**inputs, use_cache=False).logits[0, -KEPT:].float().contiguous()
        for stack, (each, hidden) in enumerate(zip(ids, watched)):
            tensors[f"{row}.stack{stack}.input_ids"] = torch.tensor(each, dtype=torch.int32)
            tensors[f"{row}.stack{stack}.hidden"] = hidden.tensor()
        tensors[f"{row}.logits"] = logits
        labels = torch.tensor(ids[-1][-len(logits):][1:])
        tensors[f"{row}.losses"] = torch.nn.functional.cross_entropy(logits[:-1], labels, reduction="none")
    return tensors


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    model = load(sys.argv[1])
    lengths = [int(word) for word in sys.argv[3:]] or lengths_for(model.config)
    source = f"transformers {transformers.__version__}, {model.config.architectures[0]}, eager attention, float32"
    save_file(golden_of(model, lengths), sys.argv[2], metadata={"source": source})


main()
