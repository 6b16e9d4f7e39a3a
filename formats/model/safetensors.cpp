#include "formats/model/safetensors.h"

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <utility>

#include "formats/files/file_io.h"
#include "formats/files/json_text.h"
#include "formats/files/text.h"
#include "kernels/error.h"

namespace gist {
namespace {

using nlohmann::json;

constexpr std::size_t length_bytes = 8;
constexpr std::uint64_t max_header_bytes = 100'000'000;  // the format's own limit
constexpr const char* damaged = "copy or download the file again";

/// The member as an array of non-negative integers below 2^63.
std::vector<std::int64_t> sizes_in(const json& info, const char* member, const std::string& place) {
  const auto found = info.find(member);
  if (found == info.end() || !found->is_array()) {
    fail(ErrorKind::data, "{}: \"{}\" should be an array of integers", place, member);
  }
  std::vector<std::int64_t> sizes;
  for (const json& value : *found) {
    if (!value.is_number_unsigned() || value.get<std::uint64_t>() > INT64_MAX) {
      fail(ErrorKind::data, "{}: \"{}\" should hold non-negative integers below 2^63", place,
           member);
    }
    sizes.push_back(value.get<std::int64_t>());
  }
  return sizes;
}

std::string dtype_in(const json& info, const std::string& place) {
  const auto found = info.find("dtype");
  if (found == info.end() || !found->is_string()) {
    fail(ErrorKind::data, "{}: \"dtype\" should be a string", place);
  }
  return found->get<std::string>();
}

/// A tensor, and where it stands in the data section.
struct Placed {
  std::size_t begin = 0, end = 0;
  const std::string* name = nullptr;
};

StoredTensor read_tensor(const json& info, const std::string& place,
                         std::span<const std::byte> data) {
  if (!info.is_object()) {
    fail(ErrorKind::data, "{}: should be described by an object, not {}", place, info.type_name());
  }
  StoredTensor tensor;
  tensor.dtype = dtype_in(info, place);
  tensor.shape = sizes_in(info, "shape", place);
  const std::vector<std::int64_t> offsets = sizes_in(info, "data_offsets", place);
  if (offsets.size() != 2 || offsets[0] > offsets[1]) {
    fail(ErrorKind::data, "{}: \"data_offsets\" should be [begin, end], found [{}]", place,
         fmt::join(offsets, ", "));
  }
  const auto begin = static_cast<std::size_t>(offsets[0]);
  const auto end = static_cast<std::size_t>(offsets[1]);
  if (end > data.size()) {
    fail(ErrorKind::data, "{}: its bytes end at {} of {}: the file is truncated or damaged; {}",
         place, end, data.size(), damaged);
  }
  tensor.bytes = end - begin;
  const std::optional<std::size_t> each = element_bytes(tensor.dtype);
  const std::size_t expected = each ? tensor_bytes(tensor.shape, *each, place) : tensor.bytes;
  if (tensor.bytes != expected) {
    fail(ErrorKind::data, "{}: {} [{}] takes {} bytes, \"data_offsets\" give it {}", place,
         tensor.dtype, fmt::join(tensor.shape, ", "), expected, tensor.bytes);
  }
  tensor.data = data.data() + begin;
  return tensor;
}

void check_metadata(const json& metadata, const std::filesystem::path& path) {
  const bool strings =
      metadata.is_object() && std::all_of(metadata.begin(), metadata.end(),
                                          [](const json& value) { return value.is_string(); });
  if (!strings) {
    fail(ErrorKind::data, "{}: \"__metadata__\" should be an object of strings", path.string());
  }
}

/// The tensors fill the data section, one after the other.
void check_coverage(const std::map<std::string, StoredTensor>& tensors,
                    std::span<const std::byte> data, const std::filesystem::path& path) {
  std::vector<Placed> order;
  for (const auto& [name, tensor] : tensors) {
    const auto begin = static_cast<std::size_t>(tensor.data - data.data());
    order.push_back({begin, begin + tensor.bytes, &name});
  }
  std::sort(order.begin(), order.end(), [](const Placed& a, const Placed& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  std::size_t expected = 0;
  for (const Placed& placed : order) {
    if (placed.begin != expected) {
      fail(ErrorKind::data, "{}: starts at byte {}, {} the tensor before it, which ends at {}; {}",
           place_of_tensor(path, *placed.name), placed.begin,
           placed.begin < expected ? "overlapping" : "leaving a gap after", expected, damaged);
    }
    expected = placed.end;
  }
  if (expected != data.size()) {
    fail(ErrorKind::data, "{}: {} bytes follow the last tensor; {}", path.string(),
         data.size() - expected, damaged);
  }
}

/// What stands before the tensors' bytes, in a file that has its length at least.
std::span<const std::byte> header_of(const MappedFile& file) {
  refuse_git_lfs_pointer(file.text(), file.path());
  std::uint64_t bytes = 0;
  std::memcpy(&bytes, file.bytes().data(), length_bytes);
  if (bytes > max_header_bytes || bytes > file.size() - length_bytes) {
    fail(ErrorKind::data,
         "{}: no safetensors file, or a truncated one: a header of {} bytes in a file of {}; {}",
         file.path().string(), bytes, file.size(), damaged);
  }
  return file.bytes().first(length_bytes + static_cast<std::size_t>(bytes));
}

}  // namespace

TensorFile read_safetensors(const std::filesystem::path& path) {
  MappedFile file(path);
  if (file.size() < length_bytes) {
    fail(ErrorKind::data, "{}: no safetensors file: {} bytes, shorter than its header's length; {}",
         path.string(), file.size(), damaged);
  }
  const std::span<const std::byte> before = header_of(file);
  const std::string_view text = file.text().substr(length_bytes, before.size() - length_bytes);
  if (!text.starts_with('{')) {
    fail(ErrorKind::data, "{}: no safetensors file: its header is no JSON object", path.string());
  }
  const json header = parse_json(text, path.string() + ", header");
  const std::span<const std::byte> data = file.bytes().subspan(before.size());
  std::map<std::string, StoredTensor> tensors;
  std::map<std::string, std::string> metadata;
  for (const auto& [name, info] : header.items()) {
    if (name == "__metadata__") {
      check_metadata(info, path);
      metadata = info.get<std::map<std::string, std::string>>();
    } else {
      tensors.emplace(name, read_tensor(info, place_of_tensor(path, name), data));
    }
  }
  check_coverage(tensors, data, path);
  return {std::move(file), std::move(tensors), {}, std::move(metadata)};
}

std::span<const std::byte> safetensors_header(const TensorFile& file) {
  return header_of(file.file);
}

}  // namespace gist
