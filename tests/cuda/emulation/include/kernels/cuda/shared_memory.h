// kernels/cuda/shared_memory.h for the emulation: arrays that check each access against their
// bounds and against a map of the bytes that have been written.
#pragma once

#include <cuda_runtime.h>

#include <array>
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

/// Returns what `written` holds for n bytes that have been written.
template <std::size_t n>
constexpr std::array<unsigned char, n> all_written() {
  std::array<unsigned char, n> written;
  written.fill(1);
  return written;
}

[[noreturn]] void shared_memory_fault(const char* what, int index, int count);

/// An asynchronous copy (tensor_core.h) that has not arrived.
struct SharedCopy {
  SharedBytes target;
  std::array<unsigned char, 16> values{};
};

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
    static constexpr std::array all = emulation::all_written<sizeof(T)>();
    if (std::memcmp(written_, all.data(), sizeof(T)) != 0) {
      emulation::shared_memory_fault("reads shared memory that nothing wrote", index_, count_);
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
    require_within(i, count_ - 1);
    const auto at = static_cast<std::size_t>(i) * sizeof(T);
    return {data_ + at, written_ + at, i, count_};
  }
  SharedArray from(int i) const {
    require_within(i, count_);
    const auto at = static_cast<std::size_t>(i) * sizeof(T);
    return {data_ + at, written_ + at, count_ - i};
  }

  /// Returns where the elements [i, i + n) stand, which must start at a multiple of 16 bytes.
  emulation::SharedBytes unwritten_bytes(int i, int n) const {
    require_within(i, count_ - 1);
    require_within(i + n - 1, count_ - 1);
    const auto at = static_cast<std::size_t>(i) * sizeof(T);
    if (reinterpret_cast<std::uintptr_t>(data_ + at) % 16 != 0) {
      emulation::shared_memory_fault("is not at a multiple of 16 bytes", i, count_);
    }
    return {data_ + at, written_ + at, static_cast<std::size_t>(n) * sizeof(T)};
  }
  /// The same, to be read.
  emulation::SharedBytes bytes(int i, int n) const {
    for (int k = i; k < i + n; ++k) static_cast<void>(static_cast<T>((*this)[k]));
    return unwritten_bytes(i, n);
  }

 private:
  void require_within(int i, int last) const {
    if (i >= 0 && i <= last) return;
    emulation::shared_memory_fault("is out of a shared array's bounds", i, count_);
  }

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
