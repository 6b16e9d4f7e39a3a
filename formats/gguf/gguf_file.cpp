#include "formats/gguf/gguf_file.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>
#include <utility>

#include "formats/files/file_io.h"
#include "formats/files/text.h"
#include "formats/model/tensor_file.h"
#include "kernels/error.h"

namespace gist {
namespace {

constexpr std::string_view magic = "GGUF";
constexpr std::uint32_t oldest_version = 2, newest_version = 3;
constexpr const char* alignment_key = "general.alignment";
constexpr std::int64_t usual_alignment = 32;
constexpr int deepest_array = 4;
constexpr std::size_t most_dimensions = 4;  // GGML_MAX_DIMS
constexpr const char* fetch_again = "copy or download the file again";

/// Bytes of a value; 0 for those whose size isn't fixed.
std::size_t bytes_of(GgufKind kind) {
  switch (kind) {
    case GgufKind::u8:
    case GgufKind::i8:
    case GgufKind::boolean:
      return 1;
    case GgufKind::u16:
    case GgufKind::i16:
      return 2;
    case GgufKind::u32:
    case GgufKind::i32:
    case GgufKind::f32:
      return 4;
    case GgufKind::u64:
    case GgufKind::i64:
    case GgufKind::f64:
      return 8;
    case GgufKind::string:
    case GgufKind::array:
      break;
  }
  return 0;
}

/// 1e-05 for the float that is next to it, not 9.99999974737875e-06.
double shortest_double(float value) {
  std::array<char, 32> text{};
  const auto written = std::to_chars(text.data(), text.data() + text.size(), value);
  double result = value;
  std::from_chars(text.data(), written.ptr, result);
  return result;
}

/// What is read from front to back, all of it within the file.
class Reader {
 public:
  Reader(std::string_view text, std::string where) : text_(text), where_(std::move(where)) {}

  std::size_t at() const { return at_; }
  std::size_t left() const { return text_.size() - at_; }

  std::string_view take(std::uint64_t bytes, const char* what) {
    if (bytes > left()) {
      fail(ErrorKind::data,
           "{}: byte {}: {} of {} bytes goes beyond the file's {}: it is truncated or damaged; {}",
           where_, at_, what, bytes, text_.size(), fetch_again);
    }
    const std::string_view taken = text_.substr(at_, static_cast<std::size_t>(bytes));
    at_ += taken.size();
    return taken;
  }

  template <typename T>
  T number(const char* what) {
    T value{};
    std::memcpy(&value, take(sizeof value, what).data(), sizeof value);
    return value;
  }

  std::string_view text(const char* what) { return take(number<std::uint64_t>(what), what); }

  GgufKind kind() {
    const auto number = this->number<std::uint32_t>("a type");
    if (number > static_cast<std::uint32_t>(GgufKind::f64)) {
      fail(ErrorKind::data, "{}: byte {}: there is no type of metadata {}; {}", where_, at_ - 4,
           number, fetch_again);
    }
    return static_cast<GgufKind>(number);
  }

  GgufArray array(int depth) {
    if (depth > deepest_array) {
      fail(ErrorKind::data, "{}: byte {}: arrays in arrays, more than {} deep", where_, at_,
           deepest_array);
    }
    GgufArray array;
    array.kind = kind();
    array.count = number<std::uint64_t>("an array's length");
    const std::size_t begin = at_;
    if (const std::size_t each = bytes_of(array.kind); each > 0) {
      if (array.count > left() / each) {
        fail(ErrorKind::data,
             "{}: byte {}: an array of {} values goes beyond the file's {} bytes: it is truncated "
             "or damaged; {}",
             where_, begin, array.count, text_.size(), fetch_again);
      }
      take(array.count * each, "an array");
    } else {
      // Each takes some bytes of the file, so that a count that is too large ends at its end.
      for (std::uint64_t i = 0; i < array.count; ++i) {
        if (array.kind == GgufKind::string) {
          text("a text");
        } else {
          this->array(depth + 1);
        }
      }
    }
    array.bytes = text_.substr(begin, at_ - begin);
    return array;
  }

  GgufValue value(GgufKind kind) {
    constexpr const char* what = "a value";
    switch (kind) {
      case GgufKind::u8:
        return std::uint64_t{number<std::uint8_t>(what)};
      case GgufKind::i8:
        return std::int64_t{number<std::int8_t>(what)};
      case GgufKind::u16:
        return std::uint64_t{number<std::uint16_t>(what)};
      case GgufKind::i16:
        return std::int64_t{number<std::int16_t>(what)};
      case GgufKind::u32:
        return std::uint64_t{number<std::uint32_t>(what)};
      case GgufKind::i32:
        return std::int64_t{number<std::int32_t>(what)};
      case GgufKind::u64:
        return number<std::uint64_t>(what);
      case GgufKind::i64:
        return number<std::int64_t>(what);
      case GgufKind::f32:
        return shortest_double(number<float>(what));
      case GgufKind::f64:
        return number<double>(what);
      case GgufKind::boolean:
        return number<std::uint8_t>(what) != 0;
      case GgufKind::string:
        return text("a text");
      case GgufKind::array:
        break;
    }
    return array(1);
  }

 private:
  std::string_view text_;
  std::string where_;
  std::size_t at_ = 0;
};

void check_gguf_version(std::uint32_t version, const std::string& where) {
  if (version >= oldest_version && version <= newest_version) return;
  if (version != 0 && (version & 0xFFFFU) == 0) {
    fail(ErrorKind::data, "{}: is a big-endian GGUF file; gist reads little-endian ones", where);
  }
  fail(ErrorKind::data, "{}: is a GGUF file of version {}; gist reads versions {} and {}{}", where,
       version, oldest_version, newest_version, version == 1 ? ": convert the model again" : "");
}

void read_metadata(Reader& reader, std::uint64_t count, GgufFile& result) {
  const std::string where = result.file.path().string();
  for (std::uint64_t i = 0; i < count; ++i) {
    std::string key(reader.text("a key"));
    if (result.metadata.contains(key)) {
      fail(ErrorKind::data, "{}: has the key {} twice", where, in_quotes(key));
    }
    const GgufKind kind = reader.kind();
    result.metadata.emplace(std::move(key), reader.value(kind));
  }
}

/// A tensor's description; its bytes follow all of them.
struct Described {
  std::string name;
  GgufTensor tensor;
  std::uint64_t offset = 0;
};

std::size_t bytes_in(const GgufTensor& tensor, const std::string& place) {
  const auto row = static_cast<std::size_t>(tensor.shape.empty() ? 1 : tensor.shape.back());
  if (row % tensor.type->values != 0) {
    fail(ErrorKind::data, "{}: rows of {} values aren't whole blocks of {}, of {} each", place, row,
         tensor.type->name, tensor.type->values);
  }
  std::vector<std::int64_t> blocks = tensor.shape;
  if (!blocks.empty()) blocks.back() /= static_cast<std::int64_t>(tensor.type->values);
  return tensor_bytes(blocks, tensor.type->bytes, place);
}

const GgufTensorType* readable_type(std::uint32_t number, const std::string& place) {
  if (const GgufTensorType* type = gguf_tensor_type(number)) return type;
  const std::string_view name = name_of_unread_gguf_type(number);
  fail(ErrorKind::data,
       "{}: is of type {}, which gist can't read: take the model in F32, F16, BF16, Q8_0, Q6_K, "
       "Q4_K, Q4_1 or Q4_0",
       place, name.empty() ? std::to_string(number) : std::string(name));
}

Described described(Reader& reader, const std::filesystem::path& path) {
  Described result;
  result.name = reader.text("a tensor's name");
  const std::string place = place_of_tensor(path, result.name);
  const auto dimensions = reader.number<std::uint32_t>("a number of dimensions");
  if (dimensions > most_dimensions) {
    fail(ErrorKind::data, "{}: has {} dimensions; at most {} are known; {}", place, dimensions,
         most_dimensions, fetch_again);
  }
  for (std::uint32_t i = 0; i < dimensions; ++i) {
    const auto size = reader.number<std::uint64_t>("a dimension");
    if (size > std::numeric_limits<std::int64_t>::max()) {
      fail(ErrorKind::data, "{}: has a dimension of {}; {}", place, size, fetch_again);
    }
    result.tensor.shape.insert(result.tensor.shape.begin(), static_cast<std::int64_t>(size));
  }
  result.tensor.type = readable_type(reader.number<std::uint32_t>("a tensor's type"), place);
  result.tensor.bytes = bytes_in(result.tensor, place);
  result.offset = reader.number<std::uint64_t>("a tensor's offset");
  return result;
}

std::size_t alignment_of(const GgufFile& file) {
  const std::int64_t alignment = file.integer(alignment_key).value_or(usual_alignment);
  if (alignment < 1 || alignment > (1 << 30) || (alignment & (alignment - 1)) != 0) {
    fail(ErrorKind::data, "{}: should be a power of 2, found {}", file.place_of(alignment_key),
         alignment);
  }
  return static_cast<std::size_t>(alignment);
}

void check_overlap(const std::vector<Described>& tensors, const std::filesystem::path& path) {
  std::vector<const Described*> order;
  for (const Described& each : tensors) {
    if (each.tensor.bytes > 0) order.push_back(&each);
  }
  std::sort(order.begin(), order.end(),
            [](const Described* a, const Described* b) { return a->offset < b->offset; });
  for (std::size_t i = 1; i < order.size(); ++i) {
    if (order[i]->offset - order[i - 1]->offset < order[i - 1]->tensor.bytes) {
      fail(ErrorKind::data, "{}: overlaps tensor {}; {}", place_of_tensor(path, order[i]->name),
           in_quotes(order[i - 1]->name), fetch_again);
    }
  }
}

void read_tensors(Reader& reader, std::uint64_t count, GgufFile& result) {
  const std::filesystem::path& path = result.file.path();
  std::vector<Described> tensors;
  for (std::uint64_t i = 0; i < count; ++i) tensors.push_back(described(reader, path));
  const std::size_t alignment = alignment_of(result);
  const std::size_t before = (reader.at() + alignment - 1) / alignment * alignment;
  const std::span<const std::byte> all = result.file.bytes();
  const std::span<const std::byte> data =
      before < all.size() ? all.subspan(before) : std::span<const std::byte>();
  check_overlap(tensors, path);
  for (Described& each : tensors) {
    const std::string place = place_of_tensor(path, each.name);
    if (each.offset % alignment != 0) {
      fail(ErrorKind::data, "{}: starts at byte {} of the data, no multiple of {}; {}", place,
           each.offset, alignment, fetch_again);
    }
    if (each.offset > data.size() || each.tensor.bytes > data.size() - each.offset) {
      fail(ErrorKind::data,
           "{}: takes {} bytes from {} of the data's {}: the file is truncated or damaged; {}",
           place, each.tensor.bytes, each.offset, data.size(), fetch_again);
    }
    each.tensor.data = data.data() + each.offset;
    if (!result.tensors.emplace(each.name, std::move(each.tensor)).second) {
      fail(ErrorKind::data, "{}: comes twice", place);
    }
  }
}

void refuse_part(const GgufFile& file) {
  const std::int64_t parts = file.integer("split.count").value_or(1);
  if (parts <= 1) return;
  fail(
      ErrorKind::data,
      "{}: is one of {} parts of a model: join them (llama.cpp: llama-gguf-split --merge), and give "
      "the whole file",
      file.file.path().string(), parts);
}

[[noreturn]] void refuse_kind(const GgufFile& file, std::string_view key, const char* expected) {
  fail(ErrorKind::data, "{}: should be {}", file.place_of(key), expected);
}

/// The elements of an array of numbers.
std::vector<double> array_elements(const GgufArray& array) {
  Reader reader(array.bytes, "");
  std::vector<double> result;
  for (std::uint64_t i = 0; i < array.count; ++i) {
    const GgufValue value = reader.value(array.kind);
    if (const auto* u = std::get_if<std::uint64_t>(&value)) {
      result.push_back(static_cast<double>(*u));
    } else if (const auto* n = std::get_if<std::int64_t>(&value)) {
      result.push_back(static_cast<double>(*n));
    } else if (const auto* b = std::get_if<bool>(&value)) {
      result.push_back(*b ? 1 : 0);
    } else {
      result.push_back(std::get<double>(value));
    }
  }
  return result;
}

}  // namespace

std::vector<float> gguf_values(const GgufTensor& tensor) {
  std::vector<float> values(tensor.bytes / tensor.type->bytes * tensor.type->values);
  gguf_values(*tensor.type, {tensor.data, tensor.bytes}, values.data());
  return values;
}

const GgufValue* GgufFile::find(std::string_view key) const {
  const auto found = metadata.find(key);
  return found == metadata.end() ? nullptr : &found->second;
}

std::string GgufFile::place_of(std::string_view key) const {
  return file.path().string() + ": " + in_quotes(key);
}

std::optional<std::string> GgufFile::text(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  const auto* text = std::get_if<std::string_view>(value);
  if (text == nullptr || !valid_utf8(*text)) refuse_kind(*this, key, "a text");
  return std::string(*text);
}

std::optional<std::int64_t> GgufFile::integer(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (const auto* n = std::get_if<std::int64_t>(value)) return *n;
  const auto* u = std::get_if<std::uint64_t>(value);
  if (u == nullptr || *u > std::numeric_limits<std::int64_t>::max()) {
    refuse_kind(*this, key, "an integer below 2^63");
  }
  return static_cast<std::int64_t>(*u);
}

std::optional<double> GgufFile::number(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (const auto* d = std::get_if<double>(value)) {
    if (!std::isfinite(*d)) refuse_kind(*this, key, "a finite number");
    return *d;
  }
  return static_cast<double>(*integer(key));
}

std::optional<bool> GgufFile::flag(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  const auto* flag = std::get_if<bool>(value);
  if (flag == nullptr) refuse_kind(*this, key, "true or false");
  return *flag;
}

std::optional<std::vector<std::string_view>> GgufFile::texts(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  const auto* array = std::get_if<GgufArray>(value);
  if (array == nullptr || array->kind != GgufKind::string) {
    refuse_kind(*this, key, "an array of texts");
  }
  Reader reader(array->bytes, "");
  std::vector<std::string_view> result;
  for (std::uint64_t i = 0; i < array->count; ++i) result.push_back(reader.text("a text"));
  return result;
}

std::optional<std::vector<double>> GgufFile::numbers(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  const auto* array = std::get_if<GgufArray>(value);
  if (array == nullptr || bytes_of(array->kind) == 0) {
    refuse_kind(*this, key, "an array of numbers");
  }
  return array_elements(*array);
}

GgufFile read_gguf_file(const std::filesystem::path& path) {
  GgufFile result{MappedFile(path), {}, {}};
  const std::string where = path.string();
  refuse_git_lfs_pointer(result.file.text(), where);
  Reader reader(result.file.text(), where);
  if (!result.file.text().starts_with(magic)) {
    fail(ErrorKind::data, "{}: is no GGUF file: it doesn't begin with \"{}\"", where, magic);
  }
  reader.take(magic.size(), "the format's name");
  check_gguf_version(reader.number<std::uint32_t>("a version"), where);
  const auto tensors = reader.number<std::uint64_t>("a number of tensors");
  const auto keys = reader.number<std::uint64_t>("a number of keys");
  read_metadata(reader, keys, result);
  refuse_part(result);
  read_tensors(reader, tensors, result);
  return result;
}

bool is_gguf_file(const std::filesystem::path& path) {
  std::error_code unknown;
  if (!std::filesystem::is_regular_file(path, unknown)) return false;
  std::array<char, magic.size()> head{};
  std::ifstream file(path, std::ios::binary);
  file.read(head.data(), head.size());
  return file.gcount() == static_cast<std::streamsize>(head.size()) &&
         std::string_view(head.data(), head.size()) == magic;
}

}  // namespace gist
