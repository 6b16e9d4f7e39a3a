// Matrix products by oneDNN: weights packed once into the layout its fastest kernel wants, for
// every number of rows.
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <oneapi/dnnl/dnnl.hpp>
#include <tuple>
#include <unordered_map>

#include "kernels/backend.h"
#include "kernels/cpu/memory.h"
#include "kernels/cpu/plain_gemm.h"

namespace gist::cpu {

class PackedMatrix final : public Matrix {
 public:
  PackedMatrix(Buffer storage, dnnl::memory memory, std::int64_t n, std::int64_t k)
      : storage_(std::move(storage)), memory_(std::move(memory)), n_(n), k_(k) {}

  std::int64_t n() const override { return n_; }
  std::int64_t k() const override { return k_; }
  std::size_t bytes() const override { return storage_.bytes(); }
  const dnnl::memory& memory() const { return memory_; }

 private:
  Buffer storage_;
  dnnl::memory memory_;
  std::int64_t n_;
  std::int64_t k_;
};

/// A weight f32 [n, k] that stands where it is.
class PlainMatrix final : public Matrix {
 public:
  explicit PlainMatrix(const Tensor& weight) : weight_(weight) {}

  std::int64_t n() const override { return weight_.shape[0]; }
  std::int64_t k() const override { return weight_.shape[1]; }
  std::size_t bytes() const override { return weight_.bytes(); }
  const float* data() const { return static_cast<const float*>(weight_.data); }

 private:
  Tensor weight_;
};

class Gemm {
 public:
  /// Throws Error(unavailable) where the processor can't multiply in `dtype`.
  Gemm(Dtype dtype, int threads, MemoryAccount& account);

  /// `backend` owns the packed copy; beyond it, a slice of the weight is converted at a time.
  std::unique_ptr<Matrix> pack(Backend& backend, const HostTensor& weight);

  /// y[m, n] = x[m, k] w[n, k]^T (+ bias[n]); the tensors have been checked.
  void run(const Tensor& x, const Matrix& w, const Tensor& bias, const Tensor& y);

  PlainGemm& plain() { return plain_; }

 private:
  /// A compiled product for one number of rows, with memory objects that are pointed at the call's
  /// tensors. Nothing is allocated to execute it.
  struct Product {
    dnnl::matmul primitive;
    dnnl::memory x, bias, y, scratchpad;
    std::size_t scratchpad_bytes = 0;
  };
  struct ShapeKey {
    std::int64_t n, k;
    bool bias;
    bool operator<(const ShapeKey& other) const {
      return std::tie(n, k, bias) < std::tie(other.n, other.k, other.bias);
    }
  };
  /// The products of one weight shape that were used last, by their number of rows.
  struct Products {
    std::list<std::pair<std::int64_t, Product>> by_use;
    std::unordered_map<std::int64_t, std::list<std::pair<std::int64_t, Product>>::iterator> by_rows;
  };

  dnnl::matmul::primitive_desc describe(std::int64_t m, const dnnl::memory::desc& weight,
                                        bool bias) const;
  Product& product(std::int64_t m, const PackedMatrix& w, bool bias);
  void run_plain(const Tensor& x, const PlainMatrix& w, const Tensor& bias, const Tensor& y);

  Dtype dtype_;
  int threads_;
  dnnl::engine engine_;
  dnnl::stream stream_;
  std::map<ShapeKey, Products> products_;
  Scratch rounded_;     // x in bf16
  Scratch scratchpad_;  // oneDNN's
  PlainGemm plain_;
};

}  // namespace gist::cpu
