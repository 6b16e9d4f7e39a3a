// The weights of a Hugging Face directory: model.safetensors, or the shards that
// model.safetensors.index.json lists.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/model.h"
#include "formats/model/safetensors.h"

namespace gist {

constexpr const char* weights_file_name = "model.safetensors";
constexpr const char* weights_index_name = "model.safetensors.index.json";

class Checkpoint {
 public:
  /// Throws Error(no_input) where there is neither file, or a shard is missing (naming it and the
  /// index); Error(data) where a shard has a tensor that the index doesn't list in it.
  explicit Checkpoint(const std::filesystem::path& directory);

  const std::filesystem::path& directory() const { return directory_; }
  /// Every tensor, in byte order of the names.
  const std::map<std::string, const SafetensorsEntry*>& tensors() const { return tensors_; }
  const std::vector<SafetensorsFile>& files() const { return files_; }

  /// Returns the weights as Model takes them: f32, f16 and bf16 tensors (Error(data) naming the
  /// tensor for other dtypes). Pages are let go when a tensor is done. The checkpoint must outlive
  /// the source.
  WeightSource source() const;

 private:
  std::filesystem::path directory_;
  std::vector<SafetensorsFile> files_;
  std::map<std::string, const SafetensorsEntry*> tensors_;
};

}  // namespace gist
