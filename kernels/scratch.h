// Working memory that is kept from call to call and only grows.
#pragma once

#include <cstddef>
#include <cstdint>

namespace gist {

/// `Memory` has void* allocate(bytes), which may throw, and release(data, bytes).
template <typename Memory>
class GrowingScratch {
 public:
  explicit GrowingScratch(Memory& memory) : memory_(memory) {}
  GrowingScratch(const GrowingScratch&) = delete;
  GrowingScratch& operator=(const GrowingScratch&) = delete;
  ~GrowingScratch() { memory_.release(data_, bytes_); }

  /// At least `bytes`, aligned as Memory does, contents undefined; valid until the next call.
  std::byte* reserve(std::size_t bytes) {
    if (bytes > bytes_) {
      ++moves_;
      memory_.release(data_, bytes_);
      data_ = nullptr;
      bytes_ = 0;
      data_ = memory_.allocate(bytes);
      bytes_ = bytes;
    }
    return static_cast<std::byte*>(data_);
  }

  template <typename T>
  T* reserve_array(std::size_t count) {
    return reinterpret_cast<T*>(reserve(count * sizeof(T)));
  }

  /// While it stays the same, `reserve` gives the same address.
  std::uint64_t moves() const { return moves_; }

 private:
  Memory& memory_;
  void* data_ = nullptr;
  std::size_t bytes_ = 0;
  std::uint64_t moves_ = 0;
};

}  // namespace gist
