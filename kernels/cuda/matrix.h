// A weight on the device, of the backend's own or where it stands.
#pragma once

#include <utility>

#include "kernels/backend.h"

namespace gist::cuda {

class CudaMatrix final : public Matrix {
 public:
  explicit CudaMatrix(const Tensor& weight) : weight_(weight) {}
  CudaMatrix(Buffer storage, const Tensor& weight)
      : storage_(std::move(storage)), weight_(weight) {}

  std::int64_t n() const override { return weight_.shape[0]; }
  std::int64_t k() const override { return weight_.shape[1]; }
  std::size_t bytes() const override { return weight_.bytes(); }
  const Tensor& weight() const { return weight_; }

 private:
  Buffer storage_;
  Tensor weight_;
};

/// Throws Error(internal) for a matrix of another backend.
const Tensor& weight_of(const Matrix& matrix);

}  // namespace gist::cuda
