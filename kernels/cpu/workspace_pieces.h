// A thread's working memory, cut into arrays.
#pragma once

#include <cstdint>

namespace gist::cpu {

constexpr std::int64_t widest_vector = 16;  // floats

constexpr std::int64_t round_up(std::int64_t value, std::int64_t to) {
  return (value + to - 1) / to * to;
}

/// Hands out the pieces of a workspace, 64-byte aligned if it is. With no memory it only counts.
class Pieces {
 public:
  explicit Pieces(float* memory) : memory_(memory) {}
  float* take(std::int64_t floats) {
    float* piece = memory_ == nullptr ? nullptr : memory_ + used_;
    used_ += round_up(floats, widest_vector);
    return piece;
  }
  std::int32_t* take_integers(std::int64_t count) {
    return reinterpret_cast<std::int32_t*>(take(count));
  }
  std::uint32_t* take_words(std::int64_t count) {
    return reinterpret_cast<std::uint32_t*>(take(count));
  }
  std::int64_t used() const { return used_; }

 private:
  float* memory_;
  std::int64_t used_ = 0;
};

}  // namespace gist::cpu
