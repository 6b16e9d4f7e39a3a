// Which model a store belongs to: a SHA-256 over all tensors in byte order of their names, each as
// NAME\0DTYPE\0D0,D1,...\0 (as safetensors spells them) and its little-endian bytes.
#pragma once

#include <string>

#include "formats/checkpoint.h"

namespace gist {

/// Lower-case hex. Cached in a file beside the model (".gist-fingerprint.json"), or, where that
/// can't be written, in $XDG_CACHE_HOME/gist (~/.cache/gist), keyed by the files' paths, sizes and
/// mtimes.
std::string model_sha256(const Checkpoint& checkpoint);

/// The same without the cache.
std::string compute_model_sha256(const Checkpoint& checkpoint);

}  // namespace gist
