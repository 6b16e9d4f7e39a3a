"""A reader of safetensors files that needs numpy alone."""

import json
import struct

import numpy

TYPES = {"F32": "<f4", "I32": "<i4"}


def read_safetensors(path):
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__", None)
    body = data[8 + length :]
    return {
        name: numpy.frombuffer(
            body[slice(*entry["data_offsets"])], TYPES[entry["dtype"]]
        ).reshape(entry["shape"])
        for name, entry in header.items()
    }
