// A block's dynamic shared memory, cut into arrays.
//
//   SharedMemory memory;
//   SharedArray<float> tile = memory.take<float>(rows * columns);
//
// Every thread of a block takes the same arrays. The emulation of the tests has another header of
// this name, whose arrays check each access: an element is a T only when it is read or written as
// one (`const float x = tile[i]`, not `auto`).
#pragma once

#include <cuda_runtime.h>

#include <cstddef>

namespace gist::cuda {

template <typename T>
class SharedArray {
 public:
  __device__ explicit SharedArray(T* data = nullptr) : data_(data) {}
  __device__ T& operator[](int i) const { return data_[i]; }
  /// The array from element i on.
  __device__ SharedArray from(int i) const { return SharedArray(data_ + i); }

 private:
  T* data_;
};

class SharedMemory {
 public:
  template <typename T>
  __device__ SharedArray<T> take(int count) {
    extern __shared__ __align__(16) unsigned char gist_shared_memory[];
    T* data = reinterpret_cast<T*>(gist_shared_memory + used_);
    used_ += (static_cast<int>(sizeof(T)) * count + 15) / 16 * 16;
    return SharedArray<T>(data);
  }

 private:
  int used_ = 0;
};

/// Returns what an array takes of a block's shared memory, in bytes.
template <typename T>
constexpr std::size_t shared_bytes(int count) {
  return (sizeof(T) * static_cast<std::size_t>(count) + 15) / 16 * 16;
}

}  // namespace gist::cuda
