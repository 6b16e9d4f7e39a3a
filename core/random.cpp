#include "core/random.h"

#include <cmath>
#include <numbers>
#include <numeric>
#include <utility>

#include "kernels/philox.h"

namespace gist {
namespace {

/// FNV-1a: names become streams.
std::uint64_t hash_of(std::string_view text) {
  std::uint64_t hash = 0xCBF29CE484222325u;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3u;
  return hash;
}

}  // namespace

std::array<std::uint32_t, 4> random_words(std::uint64_t seed, RandomUse use, std::uint64_t stream,
                                          std::uint32_t index) {
  return philox_words(
      seed, {static_cast<std::uint32_t>(stream), static_cast<std::uint32_t>(stream >> 32), index,
             static_cast<std::uint32_t>(use)});
}

float uniform_draw(std::uint64_t seed, std::uint64_t ordinal, std::uint32_t step) {
  const auto words = random_words(seed, RandomUse::sampling, ordinal, step);
  return static_cast<float>(words[0] >> 8) * 0x1p-24f;  // 24 bits: exact in f32, below 1
}

std::int32_t drawn_gist_tokens(std::uint64_t seed, std::uint64_t ordinal, std::uint32_t step,
                               std::int32_t least, std::int32_t most) {
  const std::uint64_t word = random_words(seed, RandomUse::gist_tokens, ordinal, step)[0];
  const auto numbers = static_cast<std::uint64_t>(most - least) + 1;
  return least + static_cast<std::int32_t>(word * numbers >> 32);
}

void draw_normal(std::uint64_t seed, std::string_view name, float std, std::span<float> values) {
  const std::uint64_t stream = hash_of(name);
  for (std::size_t i = 0; i < values.size(); i += 2) {
    const auto index = static_cast<std::uint32_t>(i / 2);
    const auto words = random_words(seed, RandomUse::initialisation, stream, index);
    // Box and Muller 1958. The first uniform is above 0.
    const double radius = std::sqrt(-2 * std::log((words[0] + 1.0) * 0x1p-32));
    const double angle = 2 * std::numbers::pi * (words[1] * 0x1p-32);
    values[i] = static_cast<float>(std * radius * std::cos(angle));
    if (i + 1 < values.size()) {
      values[i + 1] = static_cast<float>(std * radius * std::sin(angle));
    }
  }
}

std::vector<std::uint32_t> shuffled(std::uint64_t seed, std::uint64_t epoch, std::uint32_t n) {
  std::vector<std::uint32_t> order(n);
  std::iota(order.begin(), order.end(), 0);
  for (std::uint32_t i = n; i > 1; --i) {  // Fisher and Yates
    const std::uint32_t word = random_words(seed, RandomUse::shuffling, epoch, i)[0];
    std::swap(order[i - 1], order[static_cast<std::uint32_t>(std::uint64_t{word} * i >> 32)]);
  }
  return order;
}

}  // namespace gist
