// Random numbers from a counter: Philox 4x32-10 (Salmon, Moraes, Dror and Shaw 2011, "Parallel
// random numbers: as easy as 1, 2, 3"). What is drawn depends on its place alone, never on what was
// drawn before: so a resumed or recomputed run draws the same.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace gist {

/// Different purposes draw different numbers from one seed. 3 is dropout's (kernels/philox.h).
enum class RandomUse : std::uint32_t {
  sampling = 0,
  initialisation = 1,
  shuffling = 2,
  bootstrap = 4,
  dropout_seed = 5,
  gist_tokens = 6
};

/// Four random words for a place (stream, index).
std::array<std::uint32_t, 4> random_words(std::uint64_t seed, RandomUse use, std::uint64_t stream,
                                          std::uint32_t index);

/// The uniform draw of one token: a function of seed, ordinal and step alone.
float uniform_draw(std::uint64_t seed, std::uint64_t ordinal, std::uint32_t step);

/// How many gist tokens a record has at a step, each number from `least` to `most` as likely.
std::int32_t drawn_gist_tokens(std::uint64_t seed, std::uint64_t ordinal, std::uint32_t step,
                               std::int32_t least, std::int32_t most);

/// Normally distributed values with the deviation `std`, for the weight of this name.
void draw_normal(std::uint64_t seed, std::string_view name, float std, std::span<float> values);

/// A random order of 0 .. n - 1, of its own for each epoch.
std::vector<std::uint32_t> shuffled(std::uint64_t seed, std::uint64_t epoch, std::uint32_t n);

}  // namespace gist
