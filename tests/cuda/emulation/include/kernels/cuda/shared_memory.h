// kernels/cuda/shared_memory.h for the emulation: arrays that check each access against their
// bounds and against a map of the bytes that have been written.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstring>

namespace gist::emulation {

/// A block's dynamic shared memory.
struct SharedBytes {
  unsigned char* data = nullptr;
  unsigned char* written = nullptr;  // 0 or 1 a byte
  std::size_t size = 0;
};
SharedBytes shared_bytes_of_block();

[[noreturn]] void shared_memory_fault(const char* what, int index, int count);

}  // namespace gist::emulation

namespace gist::cuda {

/// An element: reads and writes go through here.
template <typename T>
class SharedElement {
 public:
  SharedElement(unsigned char* data, unsigned char* written, int index, int count)
      : data_(data), written_(written), index_(index), count_(count) {}
  SharedElement(const SharedElement&) = default;

  operator T() const {
    for (std::size_t i = 0; i < sizeof(T); ++i) {
      if (written_[i] == 0) {
        emulation::shared_memory_fault("reads shared memory that nothing wrote", index_, count_);
      }
    }
    T value;
    std::memcpy(&value, data_, sizeof(T));
    return value;
  }
  T operator=(T value) {
    std::memcpy(data_, &value, sizeof(T));
    std::memset(written_, 1, sizeof(T));
    return value;
  }
  T operator=(const SharedElement& other) { return *this = static_cast<T>(other); }
  T operator+=(T value) { return *this = static_cast<T>(*this) + value; }
  T operator*=(T value) { return *this = static_cast<T>(*this) * value; }

 private:
  unsigned char* data_;
  unsigned char* written_;
  int index_, count_;
};

template <typename T>
class SharedArray {
 public:
  SharedArray() = default;
  SharedArray(unsigned char* data, unsigned char* written, int count)
      : data_(data), written_(written), count_(count) {}

  SharedElement<T> operator[](int i) const {
    if (i < 0 || i >= count_) {
      emulation::shared_memory_fault("is out of a shared array's bounds", i, count_);
    }
    const auto at = static_cast<std::size_t>(i) * sizeof(T);
    return {data_ + at, written_ + at, i, count_};
  }
  SharedArray from(int i) const {
    if (i < 0 || i > count_) {
      emulation::shared_memory_fault("is out of a shared array's bounds", i, count_);
    }
    const auto at = static_cast<std::size_t>(i) * sizeof(T);
    return {data_ + at, written_ + at, count_ - i};
  }

 private:
  unsigned char* data_ = nullptr;
  unsigned char* written_ = nullptr;
  int count_ = 0;
};

class SharedMemory {
 public:
  template <typename T>
  SharedArray<T> take(int count) {
    const emulation::SharedBytes all = emulation::shared_bytes_of_block();
    const std::size_t begin = used_;
    used_ += (sizeof(T) * static_cast<std::size_t>(count) + 15) / 16 * 16;
    if (used_ > all.size) {
      emulation::shared_memory_fault("takes more shared memory than the launch gave it",
                                     static_cast<int>(used_), static_cast<int>(all.size));
    }
    return {all.data + begin, all.written + begin, count};
  }

 private:
  std::size_t used_ = 0;
};

template <typename T>
constexpr std::size_t shared_bytes(int count) {
  return (sizeof(T) * static_cast<std::size_t>(count) + 15) / 16 * 16;
}

}  // namespace gist::cuda
