"""The model families that every proof runs for: a family more is a row more."""

import sys
from dataclasses import dataclass
from pathlib import Path

from gist_cli import FIXTURES, MODELS

# What generate, evaluate and train are told of a model; published ones have no gist.json that says it.
UNDER_GIST = ("--condition", "gist", "--gist-tokens", 1)


@dataclass(frozen=True)
class Family:
    name: str
    architecture: str
    model: Path  # a trained gist model, k = 1
    scores: dict  # (exact match in per cent, loss) of trained models by split, as when they were trained
    store: Path  # the goldens' prompts through that model, written by others
    key_position: str  # of a store
    keeps_whole_prompts: bool  # in a store, beside gists
    base: Path  # to train from
    tokenizer: Path  # a vocabulary without a gist token
    config: dict  # of a model of no size, for --init with that tokenizer
    gist_token: int  # the id that training gives the gist there


LLAMA = Family(
    name="llama",
    architecture="LlamaForCausalLM",
    model=FIXTURES / "models" / "wordtasks-llama-gist",
    scores={
        FIXTURES / "models" / "wordtasks-llama-gist": {"seen": (92.2, 0.0969), "unseen": (44.8, 2.2471)},
        MODELS / "wordtasks-llama-pos": {"seen": (91.6, 0.0818), "unseen": (41.0, 2.7751)},
        MODELS / "wordtasks-llama-neg": {"seen": (7.0, 1.3747), "unseen": (6.0, 1.4913)},
    },
    store=FIXTURES / "stores" / "wordtasks-llama-gist-k1.h5",
    key_position="pre-rope",
    keeps_whole_prompts=True,
    base=FIXTURES / "models" / "stories260K",
    tokenizer=FIXTURES / "models" / "stories260K" / "tokenizer.model",
    config={
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 16,
        "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
        "num_key_value_heads": 2, "vocab_size": 512, "max_position_embeddings": 256,
        "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "hidden_act": "silu", "tie_word_embeddings": True,
        "bos_token_id": 1, "eos_token_id": 2,
    },
    gist_token=512,
)

T5 = Family(
    name="t5",
    architecture="T5ForConditionalGeneration",
    model=FIXTURES / "models" / "wordtasks-t5-gist",
    scores={
        FIXTURES / "models" / "wordtasks-t5-gist": {"seen": (82.8, 0.1934), "unseen": (37.0, 1.7047)},
    },
    store=FIXTURES / "stores" / "wordtasks-t5-gist-k1.h5",
    key_position="none",
    keeps_whole_prompts=False,
    base=FIXTURES / "models" / "wordtasks-t5-gist",  # trains with dropout: its config.json names no rate
    tokenizer=FIXTURES / "models" / "wordtasks-t5-gist" / "spiece.model",
    config={
        "architectures": ["T5ForConditionalGeneration"], "model_type": "t5", "is_encoder_decoder": True,
        "d_model": 16, "d_kv": 4, "d_ff": 32, "num_layers": 1, "num_decoder_layers": 2, "num_heads": 2,
        "vocab_size": 640, "feed_forward_proj": "relu", "tie_word_embeddings": True,
        "relative_attention_num_buckets": 8, "relative_attention_max_distance": 16,
        "layer_norm_epsilon": 1e-6, "dropout_rate": 0.1, "initializer_factor": 1.0, "pad_token_id": 0,
        "eos_token_id": 1, "decoder_start_token_id": 0,
    },
    gist_token=640,
)

FAMILIES = (LLAMA, T5)


def for_each_family(case):
    """Makes of one class of tests one for each family: Proofs becomes Proofs_llama, Proofs_t5."""
    module = sys.modules[case.__module__]
    for family in FAMILIES:
        name = f"{case.__name__}_{family.name}"
        setattr(module, name, type(name, (case,), {"family": family, "__module__": case.__module__}))
