// Host memory that is accounted for: what the backend hands out, packs and keeps as scratch.
#pragma once

#include <cstddef>

#include "kernels/backend.h"

namespace gist::cpu {

class MemoryAccount {
 public:
  /// 64-byte aligned. Throws Error(unavailable) with the figures where there is not enough memory.
  void* allocate(std::size_t bytes);
  void release(void* data, std::size_t bytes) noexcept;
  MemoryUse use() const;
  void reset_peak() { peak_ = current_; }

 private:
  std::size_t current_ = 0;
  std::size_t peak_ = 0;
};

/// Working memory that is kept from call to call and only grows.
class Scratch {
 public:
  explicit Scratch(MemoryAccount& account) : account_(account) {}
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch() { account_.release(data_, bytes_); }

  /// At least `bytes`, 64-byte aligned, contents undefined; valid until the next call.
  std::byte* reserve(std::size_t bytes);

  template <typename T>
  T* reserve_array(std::size_t count) {
    return reinterpret_cast<T*>(reserve(count * sizeof(T)));
  }

 private:
  MemoryAccount& account_;
  void* data_ = nullptr;
  std::size_t bytes_ = 0;
};

}  // namespace gist::cpu
