// The weights of a Hugging Face directory: model.safetensors, or the shards that
// model.safetensors.index.json lists; where there are none of these, pytorch_model.bin, or the
// shards of pytorch_model.bin.index.json. Or those of a GGUF file.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/model.h"
#include "formats/model/tensor_file.h"

namespace gist {

// The names under which gist writes weights.
constexpr const char* weights_file_name = "model.safetensors";
constexpr const char* weights_index_name = "model.safetensors.index.json";

/// Whether the directory has a file of weights, or an index of one's shards, that gist reads.
bool has_weights(const std::filesystem::path& directory);

class Checkpoint {
 public:
  /// `directory` may be what gguf_file_of (model_kind.h) takes for a GGUF file. Throws
  /// Error(no_input) where there is no such file, or a shard is missing (naming it and the index);
  /// Error(data) where a shard has a tensor that the index doesn't list in it, and as
  /// read_safetensors, read_torch_file and gguf_tensors do.
  explicit Checkpoint(const std::filesystem::path& directory);
  /// Of one safetensors file in it. Throws as read_safetensors.
  Checkpoint(const std::filesystem::path& directory, const char* file_name);

  const std::filesystem::path& directory() const { return directory_; }
  /// Every tensor, in byte order of the names.
  const std::map<std::string, const StoredTensor*>& tensors() const { return tensors_; }
  const std::vector<TensorFile>& files() const { return files_; }

  /// Returns the weights as Model takes them: f32, f16 and bf16 tensors, f64 and quantised ones as
  /// f32, where a value too large for it becomes infinite (Error(data) naming the tensor for other
  /// dtypes). Pages are let go when a tensor is done. The checkpoint must outlive the source.
  WeightSource source() const;

 private:
  std::filesystem::path directory_;
  std::vector<TensorFile> files_;
  std::map<std::string, const StoredTensor*> tensors_;
};

}  // namespace gist
