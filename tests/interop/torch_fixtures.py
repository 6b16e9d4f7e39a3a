"""Writes tests/fixtures/torch: files of torch.save, and their tensors as safetensors.
usage: torch_fixtures.py OUTPUT     needs: pip install torch==2.5.1 safetensors==0.8.0 numpy"""
import sys
import zipfile
from collections import OrderedDict
from pathlib import Path

import torch
from safetensors.torch import save_file


class Kinds(torch.nn.Module):
    """A tensor of each kind that state dicts have."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(3)
        self.embed = torch.nn.Embedding(5, 3)
        self.head = torch.nn.Linear(3, 5, bias=False)
        self.head.weight = self.embed.weight  # one storage, twice
        whole = torch.randn(4, 6)
        self.register_buffer("rows", whole[1:3])  # a piece of a storage
        self.register_buffer("transposed", torch.randn(3, 4).t())
        self.register_buffer("permuted", torch.randn(2, 3, 4).permute(2, 0, 1))
        self.register_buffer("column", whole[2:3].t())  # [6, 1]: its strides say nothing
        for dtype in (torch.float64, torch.float16, torch.bfloat16):
            self.register_buffer("of_" + str(dtype)[6:], torch.randn(2, 3).to(dtype))
        for dtype in (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool):
            self.register_buffer("of_" + str(dtype)[6:], torch.tensor([0, 1, 2]).to(dtype))
        self.register_buffer("wide", torch.tensor([0.1, -1e-300, 3.0], dtype=torch.float64))
        self.register_buffer("number", torch.tensor(2.5))
        self.register_buffer("nothing", torch.zeros(0, 4))


def main(output):
    output.mkdir(parents=True, exist_ok=True)
    state = Kinds().state_dict()
    torch.save(state, output / "kinds.bin")
    save_file({name: tensor.clone().contiguous() for name, tensor in state.items()}, output / "kinds.safetensors")
    small = OrderedDict(weight=torch.nn.Parameter(torch.tensor([1.0, 2.0])))  # as a Parameter, not its data
    torch.save(small, output / "parameter.bin")
    torch.save(small, output / "protocol4.bin", pickle_protocol=4)
    torch.save(small, output / "old.bin", _use_new_zipfile_serialization=False)
    torch.save({"model": dict(small), "step": 3}, output / "training.bin")
    torch.save({"weight": torch.arange(12.0).reshape(3, 4)[:, 1:3]}, output / "part.bin")
    torch.save(torch.nn.Linear(1, 1), output / "module.bin")
    with zipfile.ZipFile(output / "parameter.bin") as source, \
            zipfile.ZipFile(output / "compressed.bin", "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            target.writestr(zipfile.ZipInfo(name), source.read(name), zipfile.ZIP_DEFLATED)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
