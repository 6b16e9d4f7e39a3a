// Matrix products by cuBLASLt (matmul.cpp); the emulation has its own.
#pragma once

#include <cstdint>
#include <memory>

#include "kernels/cuda/device.h"
#include "kernels/tensor.h"

namespace gist::cuda {

/// A row-major matrix, or the transpose of one: as it is read, [rows, columns].
struct Operand {
  const void* data = nullptr;
  bool transposed = false;
};

/// y[m, n] f32 = a[m, k] b[k, n] (+ bias[n] f32) (+ y). Both operands are f32, or both bf16; sums
/// are f32 either way.
struct Product {
  Operand a, b;
  std::int64_t m = 0, n = 0, k = 0;
  Dtype dtype = Dtype::f32;
  const float* bias = nullptr;
  bool accumulate = false;
  float* y = nullptr;
};

class Matmul {
 public:
  /// With `allow_tf32`, f32 operands may be rounded to TF32 (10 bits of mantissa).
  Matmul(Device& device, bool allow_tf32);
  ~Matmul();
  Matmul(const Matmul&) = delete;
  Matmul& operator=(const Matmul&) = delete;

  void run(const Product& product);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace gist::cuda
