// Random words from a counter: Philox 4x32-10 (Salmon, Moraes, Dror and Shaw 2011, "Parallel random
// numbers: as easy as 1, 2, 3"). What is drawn depends on its place alone, so that it can be drawn
// again, in any order. kernels/cpu/dropout_vectors-inl.h is the same on vectors.
#pragma once

#include <array>
#include <cstdint>

namespace gist {

namespace philox {

constexpr int rounds = 10;
constexpr std::uint32_t multiplier_0 = 0xD2511F53u;
constexpr std::uint32_t multiplier_2 = 0xCD9E8D57u;
constexpr std::uint32_t key_step_0 = 0x9E3779B9u;
constexpr std::uint32_t key_step_1 = 0xBB67AE85u;

}  // namespace philox

/// Four random words of a counter. Counters of this project hold a stream of 64 bits, an index of
/// 32, and in the last word's low byte what the numbers are for (core/random.h's RandomUse, or
/// dropout_use), so that no two purposes draw the same from one seed.
constexpr std::array<std::uint32_t, 4> philox_words(std::uint64_t seed,
                                                    std::array<std::uint32_t, 4> counter) {
  auto key_0 = static_cast<std::uint32_t>(seed);
  auto key_1 = static_cast<std::uint32_t>(seed >> 32);
  for (int round = 0; round < philox::rounds; ++round) {
    const std::uint64_t a = std::uint64_t{philox::multiplier_0} * counter[0];
    const std::uint64_t b = std::uint64_t{philox::multiplier_2} * counter[2];
    counter = {
        static_cast<std::uint32_t>(b >> 32) ^ counter[1] ^ key_0, static_cast<std::uint32_t>(b),
        static_cast<std::uint32_t>(a >> 32) ^ counter[3] ^ key_1, static_cast<std::uint32_t>(a)};
    key_0 += philox::key_step_0;
    key_1 += philox::key_step_1;
  }
  return counter;
}

/// Dropout draws element i of a stream from word i % 4 of the counter whose index is i / 4. That
/// has 56 bits: the upper 24 stand above the use.
constexpr std::uint32_t dropout_use = 3;

constexpr std::array<std::uint32_t, 4> dropout_counter(std::uint64_t stream, std::uint64_t index) {
  return {static_cast<std::uint32_t>(stream), static_cast<std::uint32_t>(stream >> 32),
          static_cast<std::uint32_t>(index),
          static_cast<std::uint32_t>(index >> 32) << 8 | dropout_use};
}

}  // namespace gist
