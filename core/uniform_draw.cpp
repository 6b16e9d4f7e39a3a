// Philox 4x32-10 (Salmon, Moraes, Dror and Shaw 2011, "Parallel random numbers: as easy as 1, 2,
// 3").
#include <array>
#include <cstdint>

#include "core/generate.h"

namespace gist {
namespace {

struct Product {
  std::uint32_t high, low;
};

Product multiply(std::uint32_t a, std::uint32_t b) {
  const std::uint64_t product = std::uint64_t{a} * b;
  return {static_cast<std::uint32_t>(product >> 32), static_cast<std::uint32_t>(product)};
}

}  // namespace

float uniform_draw(std::uint64_t seed, std::uint64_t ordinal, std::uint32_t step) {
  std::array<std::uint32_t, 4> counter{static_cast<std::uint32_t>(ordinal),
                                       static_cast<std::uint32_t>(ordinal >> 32), step, 0};
  std::array<std::uint32_t, 2> key{static_cast<std::uint32_t>(seed),
                                   static_cast<std::uint32_t>(seed >> 32)};
  for (int round = 0; round < 10; ++round) {
    const Product a = multiply(0xD2511F53u, counter[0]);
    const Product b = multiply(0xCD9E8D57u, counter[2]);
    counter = {b.high ^ counter[1] ^ key[0], b.low, a.high ^ counter[3] ^ key[1], a.low};
    key[0] += 0x9E3779B9u;
    key[1] += 0xBB67AE85u;
  }
  return static_cast<float>(counter[0] >> 8) * 0x1p-24f;  // 24 bits: exact in f32, below 1
}

}  // namespace gist
