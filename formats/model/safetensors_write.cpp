#include <algorithm>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <span>
#include <string_view>

#include "formats/files/file_io.h"
#include "formats/files/text.h"
#include "formats/model/checkpoint.h"
#include "formats/model/safetensors.h"
#include "kernels/error.h"

namespace gist {
namespace {

constexpr std::size_t header_alignment = 8;

using Shard = std::vector<const NamedTensor*>;

std::size_t bytes_of(const NamedTensor& named) {
  return static_cast<std::size_t>(named.tensor.shape.elements()) * size_of(named.tensor.dtype);
}

std::string_view spelled(Dtype dtype) {
  switch (dtype) {
    case Dtype::f32:
      return "F32";
    case Dtype::bf16:
      return "BF16";
    case Dtype::f16:
      return "F16";
    case Dtype::i32:
      return "I32";
  }
  fail(ErrorKind::internal, "safetensors: a dtype without a name");
}

void check(const std::vector<NamedTensor>& tensors) {
  std::set<std::string_view> names;
  for (const NamedTensor& named : tensors) {
    if (!names.insert(named.name).second) {
      fail(ErrorKind::internal, "tensor {} to be written twice", in_quotes(named.name));
    }
    if (named.tensor.data == nullptr && !named.read && bytes_of(named) > 0) {
      fail(ErrorKind::internal, "tensor {} to be written has no values", in_quotes(named.name));
    }
  }
}

/// Cuts tensors into shards as transformers does: in the given order, a shard is closed when the
/// next tensor would not fit.
std::vector<Shard> split(const std::vector<NamedTensor>& tensors, std::size_t max_shard_bytes) {
  std::vector<Shard> shards(1);
  std::size_t filled = 0;
  for (const NamedTensor& named : tensors) {
    const std::size_t bytes = bytes_of(named);
    if (!shards.back().empty() && (bytes > max_shard_bytes || filled > max_shard_bytes - bytes)) {
      shards.emplace_back();
      filled = 0;
    }
    shards.back().push_back(&named);
    filled += bytes;
  }
  return shards;
}

void write_shard(const std::filesystem::path& path, Shard shard) {
  // Wide dtypes first, so that every tensor is aligned; then by name, as the format's own writer
  // does.
  std::sort(shard.begin(), shard.end(), [](const NamedTensor* a, const NamedTensor* b) {
    const std::size_t size_a = size_of(a->tensor.dtype), size_b = size_of(b->tensor.dtype);
    return size_a != size_b ? size_a > size_b : a->name < b->name;
  });
  const std::string header = safetensors_header_text(shard, {{"format", "pt"}});
  const std::uint64_t header_bytes = header.size();
  AtomicFile file(path);
  file.write(std::as_bytes(std::span(&header_bytes, 1)));
  file.write(header);
  std::vector<std::byte> values;
  for (const NamedTensor* named : shard) {
    if (named->tensor.data != nullptr || !named->read) {
      file.write({named->tensor.data, bytes_of(*named)});
      continue;
    }
    values.resize(bytes_of(*named));
    named->read(values);
    file.write(values);
  }
  file.commit();
}

std::string shard_name(std::size_t index, std::size_t count) {
  return count == 1 ? weights_file_name
                    : fmt::format("model-{:05}-of-{:05}.safetensors", index + 1, count);
}

void write_index(const std::filesystem::path& path, const std::vector<Shard>& shards) {
  std::size_t total = 0;
  nlohmann::json weight_map = nlohmann::json::object();
  for (std::size_t i = 0; i < shards.size(); ++i) {
    for (const NamedTensor* named : shards[i]) {
      weight_map[named->name] = shard_name(i, shards.size());
      total += bytes_of(*named);
    }
  }
  nlohmann::ordered_json index;
  index["metadata"] = {{"total_size", total}};
  index["weight_map"] = weight_map;
  write_file_atomically(path, index.dump(2) + "\n");
}

bool is_shard_name(std::string_view name) {
  constexpr std::string_view form = "model-00000-of-00000.safetensors";
  return name.size() == form.size() &&
         std::equal(name.begin(), name.end(), form.begin(), [](char c, char expected) {
           return expected == '0' ? c >= '0' && c <= '9' : c == expected;
         });
}

std::set<std::string> weight_files_in(const std::filesystem::path& directory) {
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    const std::string name = entry.path().filename().string();
    if (name == weights_file_name || name == weights_index_name || is_shard_name(name)) {
      names.insert(name);
    }
  }
  return names;
}

/// Weight files that an earlier write left, and that a reader would take for this one's.
void remove_others(const std::filesystem::path& directory, const std::set<std::string>& written) {
  try {
    for (const std::string& name : weight_files_in(directory)) {
      if (!written.contains(name)) std::filesystem::remove(directory / name);
    }
  } catch (const std::filesystem::filesystem_error& error) {
    fail(ErrorKind::io, "{}: weight files of an earlier write can't be removed: {}",
         directory.string(), error.code().message());
  }
}

void copy_in_pieces(const std::filesystem::path& source, const std::filesystem::path& target) {
  constexpr std::size_t piece = std::size_t{1} << 22;
  std::ifstream in(source, std::ios::binary);
  std::vector<char> bytes(piece);
  AtomicFile out(target);
  while (in) {
    in.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    out.write(std::string_view(bytes.data(), static_cast<std::size_t>(in.gcount())));
  }
  if (!in.eof()) fail(ErrorKind::io, "{}: can't be read", source.string());
  out.commit();
}

void link_or_copy(const std::filesystem::path& source, const std::filesystem::path& target) {
  remove_left_files(target);
  const std::filesystem::path link = target.string() + ".tmp-" + random_digits();
  std::error_code error;
  std::filesystem::create_hard_link(source, link, error);
  if (error) return copy_in_pieces(source, target);
  rename_durably(link, target, Existing::replace);
  std::filesystem::remove(link, error);  // it stays where both are one file already
}

}  // namespace

std::string safetensors_header_text(std::span<const NamedTensor* const> tensors,
                                    const std::map<std::string, std::string>& metadata) {
  nlohmann::ordered_json header;
  header["__metadata__"] = metadata;
  std::size_t offset = 0;
  for (const NamedTensor* named : tensors) {
    const Shape& dims = named->tensor.shape;
    const std::vector<std::int64_t> shape(dims.dims.begin(), dims.dims.begin() + dims.rank);
    const std::size_t end = offset + bytes_of(*named);
    header[named->name] = {
        {"dtype", spelled(named->tensor.dtype)}, {"shape", shape}, {"data_offsets", {offset, end}}};
    offset = end;
  }
  std::string text = header.dump();
  const std::size_t padded = (text.size() + header_alignment - 1) / header_alignment;
  text.resize(padded * header_alignment, ' ');
  return text;
}

void write_safetensors(const std::filesystem::path& directory,
                       const std::vector<NamedTensor>& tensors, std::size_t max_shard_bytes) {
  check(tensors);
  const std::vector<Shard> shards = split(tensors, max_shard_bytes);
  std::set<std::string> written;
  for (std::size_t i = 0; i < shards.size(); ++i) {
    written.insert(shard_name(i, shards.size()));
    write_shard(directory / shard_name(i, shards.size()), shards[i]);
  }
  if (shards.size() > 1) {
    write_index(directory / weights_index_name, shards);
    written.insert(weights_index_name);
  }
  remove_others(directory, written);
}

void share_safetensors(const std::filesystem::path& from, const std::filesystem::path& directory) {
  const std::set<std::string> names = weight_files_in(from);
  for (const std::string& name : names) link_or_copy(from / name, directory / name);
  remove_others(directory, names);
}

void write_safetensors_file(const std::filesystem::path& path,
                            const std::vector<NamedTensor>& tensors) {
  check(tensors);
  write_shard(path, split(tensors, std::numeric_limits<std::size_t>::max()).front());
}

}  // namespace gist
