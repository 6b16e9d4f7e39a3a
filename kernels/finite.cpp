#include "kernels/finite.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>

#include "kernels/error.h"

namespace gist {
namespace {

/// The first word with all bits of the exponent set. Adding the lowest of them carries into the
/// sign then, and only then.
template <typename Word>
std::optional<std::size_t> first_with_exponent(std::span<const std::byte> values, Word exponent) {
  const Word lowest = exponent & static_cast<Word>(~exponent + 1);
  const auto marked = [=](Word word) { return static_cast<Word>((word & exponent) + lowest); };
  constexpr Word sign = Word{1} << (8 * sizeof(Word) - 1);
  // Blocks without a branch inside first: almost always there is none.
  constexpr std::size_t block = 1024;
  std::array<Word, block> words{};
  const std::size_t count = values.size() / sizeof(Word);
  for (std::size_t begin = 0; begin < count; begin += block) {
    const std::size_t in_block = std::min(block, count - begin);
    std::memcpy(words.data(), values.data() + begin * sizeof(Word), in_block * sizeof(Word));
    Word marks = 0;
    for (const Word word : words) marks |= marked(word);
    if ((marks & sign) == 0) continue;
    // The words behind a short last block are those of the block before, where there was none.
    const auto found = std::ranges::find_if(words, [&](Word w) { return (marked(w) & sign) != 0; });
    return begin + static_cast<std::size_t>(found - words.begin());
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::size_t> first_not_finite(std::span<const std::byte> values, Dtype dtype) {
  switch (dtype) {
    case Dtype::f32:
      return first_with_exponent<std::uint32_t>(values, 0x7f800000);
    case Dtype::bf16:
      return first_with_exponent<std::uint16_t>(values, 0x7f80);
    case Dtype::f16:
      return first_with_exponent<std::uint16_t>(values, 0x7c00);
    case Dtype::i32:
      break;
  }
  return std::nullopt;
}

std::optional<std::size_t> first_not_finite(std::span<const float> values) {
  return first_not_finite(std::as_bytes(values), Dtype::f32);
}

void refuse_value(const HostTensor& weight, std::int64_t element) {
  float value = 0;
  const auto bytes = static_cast<std::int64_t>(size_of(weight.dtype));
  convert_to_f32(weight.data + element * bytes, weight.dtype, 1, &value);
  Shape place = weight.shape;
  std::int64_t rest = element;
  for (auto i = static_cast<std::size_t>(place.rank); i-- > 0;) {
    place.dims[i] = rest % weight.shape.dims[i];
    rest /= weight.shape.dims[i];
  }
  fail(ErrorKind::data,
       "the value at {} is {}, and weights are finite numbers: the file is "
       "damaged, or the training that wrote it diverged",
       to_string(place), value);
}

void require_finite(const HostTensor& weight, std::int64_t begin, std::int64_t end) {
  const auto bytes = static_cast<std::int64_t>(size_of(weight.dtype));
  const std::span values(weight.data + begin * bytes,
                         static_cast<std::size_t>((end - begin) * bytes));
  if (const auto found = first_not_finite(values, weight.dtype)) {
    refuse_value(weight, begin + static_cast<std::int64_t>(*found));
  }
}

}  // namespace gist
