// The tensors of a GGUF model under the names, and in the order of values, that Hugging Face's
// checkpoints have. What llama.cpp's conversion changed is changed back.
#pragma once

#include <string>
#include <string_view>

#include "formats/gguf/gguf_file.h"
#include "formats/model/tensor_file.h"

namespace gist {

/// "general.architecture". Throws Error(data) where there is none, or one that gist has no table of
/// names for, and where the file is something else than a model.
std::string gguf_architecture(const GgufFile& file);

/// The file as one of a checkpoint. Tensors that stand in it as they are needed point into the
/// mapping; others are made when they are read (StoredTensor::as_f32). A tensor without a name in the
/// architecture keeps its own, so that it is told as unread. Throws as gguf_architecture, and
/// Error(data) where the rows of a query or key are no heads.
TensorFile gguf_tensors(GgufFile file);

}  // namespace gist
