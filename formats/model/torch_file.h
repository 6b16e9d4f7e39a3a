// Files of torch.save, as pytorch_model.bin: since torch 1.6 a ZIP archive of a pickle (data.pkl) and
// of each storage's bytes (data/0, data/1, ...), all in one folder. No code of the file is run.
#pragma once

#include <filesystem>

#include "formats/model/tensor_file.h"

namespace gist {

/// Maps the file and finds its tensors in it; those that share a storage share the bytes. Transposed
/// tensors are copied, as row-major needs it, up to the file's size together. Throws Error(no_input)
/// where the file can't be opened and Error(data), naming the file and what was found, for what is no
/// such file, is damaged, or holds more than a state dict.
TensorFile read_torch_file(const std::filesystem::path& path);

}  // namespace gist
