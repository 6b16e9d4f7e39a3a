// A GGUF model's metadata as the config.json that the model's Hugging Face directory has.
#pragma once

#include <nlohmann/json.hpp>

#include "formats/gguf/gguf_file.h"

namespace gist {

/// Keys of the architecture ("llama.*") that are of no meaning here stay under their own names, so that
/// they are told as keys that the family never read. Throws Error(data) for what isn't a model of an
/// architecture that gist knows (gguf_tensors.h), lacks what every model has, contradicts itself, or
/// asks for what can't be said in a config.json.
nlohmann::json gguf_config(const GgufFile& file);

}  // namespace gist
