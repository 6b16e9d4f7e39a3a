#include "formats/model/safetensors.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
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

static_assert(std::endian::native == std::endian::little, "tensors are read in place");

constexpr std::size_t length_bytes = 8;
constexpr std::uint64_t max_header_bytes = 100'000'000;  // the format's own limit
constexpr const char* damaged = "copy or download the file again";

struct ElementSize {
  std::string_view dtype;
  std::size_t bytes;
};
constexpr std::array element_sizes = std::to_array<ElementSize>({
    {"BOOL", 1},
    {"U8", 1},
    {"I8", 1},
    {"F8_E5M2", 1},
    {"F8_E4M3", 1},
    {"I16", 2},
    {"U16", 2},
    {"F16", 2},
    {"BF16", 2},
    {"I32", 4},
    {"U32", 4},
    {"F32", 4},
    {"F64", 8},
    {"I64", 8},
    {"U64", 8},
    {"C64", 8},
});

/// "FILE: tensor "NAME"", for messages.
std::string place_of(const std::filesystem::path& path, const std::string& name) {
  return path.string() + ": tensor " + in_quotes(name);
}

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

/// Nothing for dtypes that gist doesn't know: a tensor of one is refused when something reads it.
std::optional<std::size_t> element_bytes(const std::string& dtype) {
  const auto* const known = std::find_if(element_sizes.begin(), element_sizes.end(),
                                         [&](const ElementSize& e) { return e.dtype == dtype; });
  return known == element_sizes.end() ? std::nullopt : std::optional(known->bytes);
}

std::int64_t nanoseconds(const timespec& time) {
  return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

std::size_t tensor_bytes(const std::vector<std::int64_t>& shape, std::size_t each,
                         const std::string& place) {
  std::size_t bytes = each;
  for (const std::int64_t size : shape) {
    if (__builtin_mul_overflow(bytes, static_cast<std::size_t>(size), &bytes)) {
      fail(ErrorKind::data, "{}: its shape [{}] takes more than 2^64 bytes", place,
           fmt::join(shape, ", "));
    }
  }
  return bytes;
}

/// A tensor, and where it stands in the data section of `data_bytes` bytes at `data`.
struct Placed {
  std::size_t begin = 0, end = 0;
  const std::string* name = nullptr;
};

SafetensorsEntry read_entry(const json& info, const std::string& place, const std::byte* data,
                            std::size_t data_bytes) {
  if (!info.is_object()) {
    fail(ErrorKind::data, "{}: should be described by an object, not {}", place, info.type_name());
  }
  SafetensorsEntry entry;
  entry.dtype = dtype_in(info, place);
  entry.shape = sizes_in(info, "shape", place);
  const std::vector<std::int64_t> offsets = sizes_in(info, "data_offsets", place);
  if (offsets.size() != 2 || offsets[0] > offsets[1]) {
    fail(ErrorKind::data, "{}: \"data_offsets\" should be [begin, end], found [{}]", place,
         fmt::join(offsets, ", "));
  }
  const auto begin = static_cast<std::size_t>(offsets[0]);
  const auto end = static_cast<std::size_t>(offsets[1]);
  if (end > data_bytes) {
    fail(ErrorKind::data, "{}: its bytes end at {} of {}: the file is truncated or damaged; {}",
         place, end, data_bytes, damaged);
  }
  entry.bytes = end - begin;
  const std::optional<std::size_t> each = element_bytes(entry.dtype);
  const std::size_t expected = each ? tensor_bytes(entry.shape, *each, place) : entry.bytes;
  if (entry.bytes != expected) {
    fail(ErrorKind::data, "{}: {} [{}] takes {} bytes, \"data_offsets\" give it {}", place,
         entry.dtype, fmt::join(entry.shape, ", "), expected, entry.bytes);
  }
  entry.data = data + begin;
  return entry;
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
void check_coverage(const std::map<std::string, SafetensorsEntry>& tensors, const std::byte* data,
                    std::size_t data_bytes, const std::filesystem::path& path) {
  std::vector<Placed> order;
  for (const auto& [name, entry] : tensors) {
    const auto begin = static_cast<std::size_t>(entry.data - data);
    order.push_back({begin, begin + entry.bytes, &name});
  }
  std::sort(order.begin(), order.end(), [](const Placed& a, const Placed& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  std::size_t expected = 0;
  for (const Placed& placed : order) {
    if (placed.begin != expected) {
      fail(ErrorKind::data, "{}: starts at byte {}, {} the tensor before it, which ends at {}; {}",
           place_of(path, *placed.name), placed.begin,
           placed.begin < expected ? "overlapping" : "leaving a gap after", expected, damaged);
    }
    expected = placed.end;
  }
  if (expected != data_bytes) {
    fail(ErrorKind::data, "{}: {} bytes follow the last tensor; {}", path.string(),
         data_bytes - expected, damaged);
  }
}

}  // namespace

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path) : path_(path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  struct stat status {};
  if (descriptor < 0 || ::fstat(descriptor, &status) != 0) {
    const std::string reason = std::strerror(errno);
    if (descriptor >= 0) ::close(descriptor);
    fail(ErrorKind::no_input, "{}: can't be opened: {}", path.string(), reason);
  }
  if (!S_ISREG(status.st_mode)) {
    ::close(descriptor);
    fail(ErrorKind::no_input, "{}: is not a regular file", path.string());
  }
  size_ = static_cast<std::size_t>(status.st_size);
  identity_ = {status.st_dev, status.st_ino, nanoseconds(status.st_mtim),
               nanoseconds(status.st_ctim)};
  if (size_ < length_bytes) {
    ::close(descriptor);
    fail(ErrorKind::data, "{}: no safetensors file: {} bytes, shorter than its header's length; {}",
         path.string(), size_, damaged);
  }
  void* mapped = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, descriptor, 0);
  const std::string reason = std::strerror(errno);
  ::close(descriptor);
  if (mapped == MAP_FAILED) {
    fail(ErrorKind::no_input, "{}: can't be mapped into memory: {}", path.string(), reason);
  }
  mapping_ = static_cast<std::byte*>(mapped);
  try {
    read_header();
  } catch (...) {
    ::munmap(mapping_, size_);
    throw;
  }
}

void SafetensorsFile::read_header() {
  refuse_git_lfs_pointer({reinterpret_cast<const char*>(mapping_), size_}, path_);
  std::uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, mapping_, length_bytes);
  if (header_bytes > max_header_bytes || header_bytes > size_ - length_bytes) {
    fail(ErrorKind::data,
         "{}: no safetensors file, or a truncated one: a header of {} bytes in a file of {}; {}",
         path_.string(), header_bytes, size_, damaged);
  }
  const std::string_view text(reinterpret_cast<const char*>(mapping_ + length_bytes),
                              static_cast<std::size_t>(header_bytes));
  if (!text.starts_with('{')) {
    fail(ErrorKind::data, "{}: no safetensors file: its header is no JSON object", path_.string());
  }
  const json header = parse_json(text, path_.string() + ", header");
  const std::byte* data = mapping_ + length_bytes + text.size();
  header_end_ = length_bytes + text.size();
  const std::size_t data_bytes = size_ - header_end_;
  for (const auto& [name, info] : header.items()) {
    if (name == "__metadata__") {
      check_metadata(info, path_);
    } else {
      tensors_.emplace(name, read_entry(info, place_of(path_, name), data, data_bytes));
    }
  }
  check_coverage(tensors_, data, data_bytes, path_);
}

SafetensorsFile::SafetensorsFile(SafetensorsFile&& other) noexcept
    : path_(std::move(other.path_)),
      mapping_(std::exchange(other.mapping_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      header_end_(other.header_end_),
      identity_(other.identity_),
      tensors_(std::move(other.tensors_)) {}

SafetensorsFile& SafetensorsFile::operator=(SafetensorsFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(mapping_, other.mapping_);
  std::swap(size_, other.size_);
  std::swap(header_end_, other.header_end_);
  std::swap(identity_, other.identity_);
  std::swap(tensors_, other.tensors_);
  return *this;
}

SafetensorsFile::~SafetensorsFile() {
  if (mapping_ != nullptr) ::munmap(mapping_, size_);
}

void SafetensorsFile::release(const SafetensorsEntry& entry) const {
  // Only whole pages: the rest belongs to the neighbours, too.
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  const auto start = static_cast<std::size_t>(entry.data - mapping_);
  const std::size_t first = (start + page - 1) / page * page;
  const std::size_t last = (start + entry.bytes) / page * page;
  if (first < last) ::madvise(mapping_ + first, last - first, MADV_DONTNEED);
}

}  // namespace gist
