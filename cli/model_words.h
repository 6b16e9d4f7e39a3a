// The line with which a run begins says in words what computes; this file writes it.
#pragma once

#include <string>

#include "core/model.h"
#include "gist/loaded_model.h"

namespace gist {

/// "my-model (llama, 6.7 billion parameters) on cpu, 8 threads, bf16". `model` names it.
std::string model_in_words(const std::string& model, const ModelSpec& spec, const Backend& backend,
                           const ModelSetup& setup);

}  // namespace gist
