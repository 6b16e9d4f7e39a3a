// A fingerprint says which model a store belongs to. It is a SHA-256 over all tensors in byte order
// of their names, each as NAME\0DTYPE\0D0,D1,...\0 (as safetensors spells them) and its
// little-endian bytes.
#pragma once

#include <chrono>
#include <string>

#include "formats/model/checkpoint.h"
#include "formats/model/tokenizer.h"

namespace gist {

/// Lower-case hex. Cached in a file beside the model (".gist-fingerprint.json"), or, where that
/// can't be written, in $XDG_CACHE_HOME/gist (~/.cache/gist), keyed by what the file system tells
/// of the files: name, size, device, inode, and the times of modification and change. Files that
/// changed just before `now` are not cached.
std::string model_sha256(const Checkpoint& checkpoint, std::chrono::system_clock::time_point now =
                                                           std::chrono::system_clock::now());

/// The same without the cache.
std::string compute_model_sha256(const Checkpoint& checkpoint);

/// The SHA-256 of a tokenizer's tokens in the order of their ids, without gist tokens, each as its
/// text and a byte 0: models of one vocabulary have the same, whatever files it stands in and
/// whether they gist. Lower-case hex.
std::string vocabulary_sha256(const Tokenizer& tokenizer);

}  // namespace gist
