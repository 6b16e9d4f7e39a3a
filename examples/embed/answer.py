"""Compresses an instruction once, and answers inputs from the gist: one completion a line.

    python3 answer.py MODEL "Write the words in reverse order." "cat, lake, red" "one, two"

Needs Python's standard library and libgist.so, which is looked for as other libraries are; the variable LIBGIST may name
its file.
"""
import ctypes
import os
import sys

DONE = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p)
TEXT = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p, ctypes.c_size_t)


class Struct(ctypes.Structure):
    """A struct of gist.h, which begins with its size."""

    def __init__(self, **members):
        super().__init__(size=ctypes.sizeof(self), **members)


class Failure(Struct):
    _fields_ = [("size", ctypes.c_size_t), ("status", ctypes.c_int), ("message", ctypes.c_char * 1024)]


class ModelOptions(Struct):
    _fields_ = [("size", ctypes.c_size_t), ("directory", ctypes.c_char_p), ("device", ctypes.c_char_p),
                ("dtype", ctypes.c_char_p), ("family", ctypes.c_char_p), ("threads", ctypes.c_int32),
                ("gist_tokens", ctypes.c_int32)]


class Request(Struct):
    _fields_ = [("size", ctypes.c_size_t), ("activations", ctypes.c_void_p), ("store", ctypes.c_void_p),
                ("gist", ctypes.c_char_p), ("instruction", ctypes.c_char_p), ("input", ctypes.c_char_p),
                ("text", ctypes.c_char_p)]


class Completion(Struct):
    _fields_ = [("size", ctypes.c_size_t), ("text", ctypes.c_void_p), ("length", ctypes.c_size_t),
                ("finish_reason", ctypes.c_char_p), ("tokens", ctypes.c_int32)]


class GenerateOptions(Struct):
    _fields_ = [("size", ctypes.c_size_t), ("max_new_tokens", ctypes.c_int32), ("temperature", ctypes.c_float),
                ("top_k", ctypes.c_int32), ("top_p", ctypes.c_float), ("seed", ctypes.c_uint64),
                ("batch_rows", ctypes.c_int32), ("batch_tokens", ctypes.c_int32),
                ("stops", ctypes.POINTER(ctypes.c_char_p)), ("stop_count", ctypes.c_size_t), ("text", TEXT),
                ("done", DONE), ("user", ctypes.c_void_p)]


class Gist:
    """libgist with one context. Failures are exceptions."""

    def __init__(self):
        self.library = ctypes.CDLL(os.environ.get("LIBGIST", "libgist.so.0"))
        self.context = ctypes.c_void_p()
        self.call("gist_context_open", None, ctypes.byref(self.context))

    def call(self, function, *arguments):
        error = Failure()
        if getattr(self.library, function)(*arguments, ctypes.byref(error)) != 0:
            raise RuntimeError(error.message.decode())

    def open_model(self, directory):
        model = ctypes.c_void_p()
        options = ModelOptions(directory=os.fsencode(directory))
        self.call("gist_model_open", self.context, ctypes.byref(options), ctypes.byref(model))
        return model

    def compress(self, model, instruction):
        instructions = (ctypes.c_char_p * 1)(instruction.encode())
        gist = ctypes.c_void_p()
        self.call("gist_compress", self.context, model, instructions, ctypes.c_size_t(1), ctypes.byref(gist))
        return gist

    def answer(self, model, gist, inputs, max_new_tokens=64):
        answers = [None] * len(inputs)

        @DONE
        def done(_user, request, at):
            completion = ctypes.cast(at, ctypes.POINTER(Completion)).contents
            answers[request] = ctypes.string_at(completion.text, completion.length).decode()
            return 0

        requests = (Request * len(inputs))(*[Request(activations=gist, input=text.encode()) for text in inputs])
        options = GenerateOptions(max_new_tokens=max_new_tokens, done=done)
        self.call("gist_generate", self.context, model, ctypes.byref(options), requests,
                  ctypes.c_size_t(len(inputs)))
        return answers

    def close(self):
        self.library.gist_context_close(ctypes.byref(self.context))


def main():
    if len(sys.argv) < 4:
        sys.exit("usage: answer.py MODEL INSTRUCTION INPUT ...")
    gist = Gist()
    try:
        model = gist.open_model(sys.argv[1])
        compressed = gist.compress(model, sys.argv[2])
        for text in gist.answer(model, compressed, sys.argv[3:]):
            print(text)
    except RuntimeError as failure:
        sys.exit(f"answer.py: {failure}")
    finally:
        gist.close()


if __name__ == "__main__":
    main()
