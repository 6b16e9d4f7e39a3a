#include "formats/model/tensor_file.h"

#include <algorithm>
#include <array>
#include <bit>

#include "formats/files/text.h"
#include "kernels/error.h"

namespace gist {
namespace {

static_assert(std::endian::native == std::endian::little, "tensors are read in place");

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

}  // namespace

std::optional<std::size_t> element_bytes(std::string_view dtype) {
  const auto* const known = std::find_if(element_sizes.begin(), element_sizes.end(),
                                         [&](const ElementSize& e) { return e.dtype == dtype; });
  return known == element_sizes.end() ? std::nullopt : std::optional(known->bytes);
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

std::string place_of_tensor(const std::filesystem::path& file, std::string_view name) {
  return file.string() + ": tensor " + in_quotes(name);
}

}  // namespace gist
