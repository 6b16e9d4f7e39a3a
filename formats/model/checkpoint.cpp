#include "formats/model/checkpoint.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <span>

#include "formats/files/file_io.h"
#include "formats/files/json_text.h"
#include "formats/files/text.h"
#include "formats/gguf/gguf_tensors.h"
#include "formats/model/model_kind.h"
#include "formats/model/safetensors.h"
#include "formats/model/torch_file.h"
#include "formats/model/unread_tensors.h"
#include "kernels/error.h"

namespace gist {
namespace {

using nlohmann::json;

/// Tensor name -> shard name.
std::map<std::string, std::string> read_weight_map(const std::filesystem::path& index) {
  const json content = parse_json(read_file(index), index.string());
  const auto map = content.is_object() ? content.find("weight_map") : content.end();
  if (map == content.end() || !map->is_object() || map->empty()) {
    fail(ErrorKind::data, "{}: \"weight_map\" should be an object of tensor names and files",
         index.string());
  }
  std::map<std::string, std::string> shards;
  for (const auto& [name, shard] : map->items()) {
    // A plain file name: an index never reaches out of its directory.
    const bool plain = shard.is_string() && !shard.get_ref<const std::string&>().empty() &&
                       shard.get_ref<const std::string&>().find('/') == std::string::npos &&
                       shard != ".." && shard != ".";
    if (!plain) {
      fail(ErrorKind::data, "{}: tensor {} should be mapped to a file's name, found {}",
           index.string(), in_quotes(name), in_quotes(shard.dump()));
    }
    shards[name] = shard.get<std::string>();
  }
  return shards;
}

/// A format of checkpoints: one file, or an index and the shards that it lists.
struct WeightsFormat {
  const char* file;
  const char* index;
  TensorFile (*read)(const std::filesystem::path& path);
};

/// Where a directory has several, the first counts, as in transformers.
constexpr std::array formats = std::to_array<WeightsFormat>({
    {weights_file_name, weights_index_name, read_safetensors},
    {"pytorch_model.bin", "pytorch_model.bin.index.json", read_torch_file},
});

std::vector<TensorFile> open_shards(const std::filesystem::path& directory,
                                    const WeightsFormat& format) {
  const std::filesystem::path index = directory / format.index;
  const std::map<std::string, std::string> shard_of = read_weight_map(index);
  std::set<std::string> names;
  for (const auto& [tensor, shard] : shard_of) names.insert(shard);
  std::vector<TensorFile> files;
  for (const std::string& name : names) {
    const std::filesystem::path path = directory / name;
    if (!may_exist(path)) {
      fail(ErrorKind::no_input, "{}: this shard is missing; {} lists it", path.string(),
           index.string());
    }
    const TensorFile& file = files.emplace_back(format.read(path));
    for (const auto& [tensor, entry] : file.tensors) {
      const auto listed = shard_of.find(tensor);
      if (listed == shard_of.end() && is_computed(tensor, entry)) continue;
      if (listed == shard_of.end() || listed->second != name) {
        fail(ErrorKind::data, "{}: has the tensor {}, which {} {}", path.string(),
             in_quotes(tensor), index.string(),
             listed == shard_of.end() ? "doesn't list" : "lists in " + listed->second);
      }
    }
  }
  // A tensor that is listed and in no shard may be one that nothing needs: what older versions
  // stored, or a copy that conversion dropped. The model says which it misses.
  return files;
}

std::vector<TensorFile> open_files(const std::filesystem::path& directory) {
  if (const std::optional<std::filesystem::path> gguf = gguf_file_of(directory)) {
    std::vector<TensorFile> files;
    files.push_back(gguf_tensors(read_gguf_file(*gguf)));
    return files;
  }
  for (const WeightsFormat& format : formats) {
    std::vector<TensorFile> files;
    if (may_exist(directory / format.file)) {
      files.push_back(format.read(directory / format.file));
      return files;
    }
    if (may_exist(directory / format.index)) return open_shards(directory, format);
  }
  fail_without_weights(directory);
}

/// Tensors whose values aren't what the file has, as f32, until they are done.
using Converted = std::map<std::string, std::vector<float>>;

std::vector<float> narrowed(const StoredTensor& tensor) {
  std::vector<float> values(tensor.bytes / sizeof(double));
  const std::byte* from = tensor.data;
  for (float& value : values) {
    double wide = 0;
    std::memcpy(&wide, from, sizeof wide);
    from += sizeof wide;
    value = static_cast<float>(wide);
  }
  return values;
}

const std::byte* as_f32(const std::string& name, const StoredTensor& tensor, Converted& converted) {
  const auto [values, missing] = converted.try_emplace(name);
  if (missing) values->second = tensor.as_f32 ? tensor.as_f32() : narrowed(tensor);
  return std::as_bytes(std::span(values->second)).data();
}

HostTensor host_tensor(const std::string& name, const StoredTensor& entry,
                       const std::filesystem::path& directory, Converted& converted) {
  HostTensor tensor;
  tensor.data = entry.data;
  if (entry.as_f32 || entry.dtype == "F64") {
    tensor.dtype = Dtype::f32;
    tensor.data = as_f32(name, entry, converted);
  } else if (entry.dtype == "F32") {
    tensor.dtype = Dtype::f32;
  } else if (entry.dtype == "BF16") {
    tensor.dtype = Dtype::bf16;
  } else if (entry.dtype == "F16") {
    tensor.dtype = Dtype::f16;
  } else if (entry.dtype == "I32") {
    tensor.dtype = Dtype::i32;
  } else {
    fail(ErrorKind::data, "{}: tensor {} has dtype {}; convert the weights to F32, BF16 or F16",
         directory.string(), in_quotes(name), entry.dtype);
  }
  if (entry.shape.size() > static_cast<std::size_t>(Shape::max_rank)) {
    fail(ErrorKind::data, "{}: tensor {} has {} dimensions; at most {} are supported",
         directory.string(), in_quotes(name), entry.shape.size(), Shape::max_rank);
  }
  tensor.shape.rank = static_cast<int>(entry.shape.size());
  for (std::size_t i = 0; i < entry.shape.size(); ++i) tensor.shape.dims[i] = entry.shape[i];
  return tensor;
}

}  // namespace

bool has_weights(const std::filesystem::path& directory) {
  return std::any_of(formats.begin(), formats.end(), [&](const WeightsFormat& format) {
    return may_exist(directory / format.file) || may_exist(directory / format.index);
  });
}

Checkpoint::Checkpoint(const std::filesystem::path& directory)
    : directory_(directory), files_(open_files(directory)) {
  for (const TensorFile& file : files_) {
    for (const auto& [name, entry] : file.tensors) tensors_[name] = &entry;
  }
}

Checkpoint::Checkpoint(const std::filesystem::path& directory, const char* file_name)
    : directory_(directory) {
  files_.push_back(read_safetensors(directory / file_name));
  for (const auto& [name, entry] : files_.front().tensors) tensors_[name] = &entry;
}

WeightSource Checkpoint::source() const {
  WeightSource source;
  source.description = directory_.string();
  const auto converted = std::make_shared<Converted>();
  source.find = [this, converted](const std::string& name) -> std::optional<HostTensor> {
    const auto found = tensors_.find(name);
    if (found == tensors_.end()) return std::nullopt;
    return host_tensor(name, *found->second, directory_, *converted);
  };
  source.done = [this, converted](const std::string& name) {
    converted->erase(name);
    for (const TensorFile& file : files_) {
      const auto found = file.tensors.find(name);
      if (found != file.tensors.end()) file.release(found->second);
    }
  };
  return source;
}

}  // namespace gist
