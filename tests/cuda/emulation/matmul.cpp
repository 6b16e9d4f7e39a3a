// kernels/cuda/matmul.h on the host, plainly.
#include "kernels/cuda/matmul.h"

#include <vector>

#include "tests/cuda/emulation/stream.h"

namespace gist::cuda {
namespace {

/// An operand as f32 [rows, columns].
std::vector<float> plain(const Operand& operand, std::int64_t rows, std::int64_t columns,
                         Dtype dtype) {
  std::vector<float> stored(static_cast<std::size_t>(rows * columns));
  convert_to_f32(static_cast<const std::byte*>(operand.data), dtype, rows * columns, stored.data());
  if (!operand.transposed) return stored;
  std::vector<float> turned(stored.size());
  for (std::int64_t i = 0; i < rows; ++i) {
    for (std::int64_t j = 0; j < columns; ++j) {
      turned[static_cast<std::size_t>(i * columns + j)] =
          stored[static_cast<std::size_t>(j * rows + i)];
    }
  }
  return turned;
}

void multiply(const Product& p) {
  const std::vector<float> a = plain(p.a, p.m, p.k, p.dtype);
  const std::vector<float> b = plain(p.b, p.k, p.n, p.dtype);
#pragma omp parallel for
  for (std::int64_t i = 0; i < p.m; ++i) {
    float* y = p.y + i * p.n;
    for (std::int64_t j = 0; j < p.n; ++j) {
      if (!p.accumulate) y[j] = 0;
      if (p.bias != nullptr) y[j] += p.bias[j];
    }
    for (std::int64_t l = 0; l < p.k; ++l) {
      const float factor = a[static_cast<std::size_t>(i * p.k + l)];
      const float* row = b.data() + l * p.n;
      for (std::int64_t j = 0; j < p.n; ++j) y[j] += factor * row[j];
    }
  }
}

}  // namespace

struct Matmul::State {
  Device& device;
};

Matmul::Matmul(Device& device, bool) : state_(new State{device}) {}
Matmul::~Matmul() = default;

void Matmul::run(const Product& p) {
  state_->device.stream()->queue([p] { multiply(p); });
}

}  // namespace gist::cuda
