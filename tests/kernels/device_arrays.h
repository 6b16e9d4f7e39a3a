// Arrays on a backend, made from and read back to vectors.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <random>
#include <vector>

#include "kernels/backend.h"
#include "kernels/cpu/cpu_backend.h"
#include "kernels/error.h"

namespace gist::test {

/// The backend that the tests of operations run on, computing in `dtype`; null where this machine
/// can't. Each program that they are linked into brings its own: cpu_under_test.cpp, or
/// tests/cuda/operations_on_cuda.cpp, to which threads mean nothing.
std::unique_ptr<Backend> backend_under_test(Dtype dtype = Dtype::f32, int threads = 2);

/// Makes tensors and keeps their memory.
class DeviceArrays {
 public:
  explicit DeviceArrays(Backend& backend) : backend_(backend) {}

  Tensor empty(Dtype dtype, const Shape& shape) {
    Tensor tensor{nullptr, dtype, shape};
    buffers_.push_back(backend_.allocate(tensor.bytes()));
    tensor.data = buffers_.back().data();
    return tensor;
  }
  Tensor empty(const Shape& shape) { return empty(Dtype::f32, shape); }
  Tensor of(const Shape& shape, const std::vector<float>& values) {
    const Tensor tensor = empty(shape);
    backend_.upload(tensor, values.data());
    return tensor;
  }
  Tensor of(const Shape& shape, const std::vector<std::int32_t>& values) {
    const Tensor tensor = empty(Dtype::i32, shape);
    backend_.upload(tensor, values.data());
    return tensor;
  }
  Tensor filled(const Shape& shape, float value) {
    return of(shape, std::vector<float>(static_cast<std::size_t>(shape.elements()), value));
  }
  std::vector<float> floats(const Tensor& tensor) { return read<float>(tensor); }
  std::vector<std::int32_t> integers(const Tensor& tensor) { return read<std::int32_t>(tensor); }

 private:
  template <typename T>
  std::vector<T> read(const Tensor& tensor) {
    std::vector<T> values(static_cast<std::size_t>(tensor.shape.elements()));
    backend_.download(tensor, values.data());
    return values;
  }

  Backend& backend_;
  std::deque<Buffer> buffers_;
};

inline HostTensor host_tensor(const Shape& shape, const std::vector<float>& values) {
  return {reinterpret_cast<const std::byte*>(values.data()), Dtype::f32, shape};
}

/// Normally distributed values, the same in each run.
class Random {
 public:
  explicit Random(std::uint32_t seed) : engine_(seed) {}
  std::vector<float> floats(std::int64_t count, float deviation = 1) {
    std::normal_distribution<float> distribution(0, deviation);
    std::vector<float> values(static_cast<std::size_t>(count));
    for (float& value : values) value = distribution(engine_);
    return values;
  }
  /// Within [0, limit).
  std::int32_t below(std::int64_t limit) {
    return static_cast<std::int32_t>(
        std::uniform_int_distribution<std::int64_t>(0, limit - 1)(engine_));
  }
  std::mt19937& engine() { return engine_; }

 private:
  std::mt19937 engine_;
};

}  // namespace gist::test
