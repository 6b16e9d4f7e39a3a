// Matrix products by oneDNN: weights packed once into the layout its fastest kernel wants, for
// every number of rows. The backend's threads compute slices of a product, each on its own.
#pragma once

#include <array>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <oneapi/dnnl/dnnl.hpp>
#include <unordered_map>
#include <vector>

#include "kernels/backend.h"
#include "kernels/cpu/memory.h"
#include "kernels/cpu/plain_gemm.h"
#include "kernels/cpu/product_slices.h"

namespace gist::cpu {

class PackedMatrix final : public Matrix {
 public:
  PackedMatrix(Buffer storage, dnnl::memory memory, const Slices& slices,
               std::vector<dnnl::memory> columns, std::int64_t n, std::int64_t k)
      : storage_(std::move(storage)),
        memory_(std::move(memory)),
        slices_(slices),
        columns_(std::move(columns)),
        n_(n),
        k_(k) {}

  std::int64_t n() const override { return n_; }
  std::int64_t k() const override { return k_; }
  std::size_t bytes() const override { return storage_.bytes(); }
  const dnnl::memory& memory() const { return memory_; }
  /// How its columns are cut for threads, and views of the slices; none where there is only one.
  const Slices& slices() const { return slices_; }
  const std::vector<dnnl::memory>& columns() const { return columns_; }

 private:
  Buffer storage_;
  dnnl::memory memory_;
  Slices slices_;
  std::vector<dnnl::memory> columns_;
  std::int64_t n_;
  std::int64_t k_;
};

/// A weight [n, k], f32 or in the products' dtype, that stands where it is.
class PlainMatrix final : public Matrix {
 public:
  explicit PlainMatrix(const Tensor& weight) : weight_(weight) {}

  std::int64_t n() const override { return weight_.shape[0]; }
  std::int64_t k() const override { return weight_.shape[1]; }
  std::size_t bytes() const override { return weight_.bytes(); }
  const Tensor& weight() const { return weight_; }

 private:
  Tensor weight_;
};

class Gemm {
 public:
  /// Throws Error(unavailable) where the processor can't multiply in `dtype`.
  Gemm(Dtype dtype, ThreadPool& threads, MemoryAccount& account);

  /// `backend` owns the packed copy; beyond it, a slice of the weight is converted at a time.
  std::unique_ptr<Matrix> pack(Backend& backend, const HostTensor& weight);

  /// y[m, n] = x[m, k] w[n, k]^T (+ bias[n]); the tensors have been checked.
  void run(const Tensor& x, const Matrix& w, const Tensor& bias, const Tensor& y);

  PlainGemm& plain() { return plain_; }

 private:
  /// Memory objects that are pointed at a call's tensors.
  struct Arguments {
    dnnl::memory x, bias, y, scratchpad;
  };
  /// A compiled product for one number of rows, on one thread. Nothing is allocated to execute it.
  struct Product {
    dnnl::matmul::primitive_desc description;
    dnnl::matmul primitive;
    std::vector<Arguments> arguments;  // [threads], or of the first alone
    std::size_t scratchpad_bytes = 0;
  };
  /// x [m, k] in the products' dtype, bias [n] or null, y [m, n].
  struct Factors {
    const std::byte* x;
    const float* bias;
    float* y;
  };
  /// What tells compiled products apart, their number of rows aside: the weight's layout, and
  /// whether there is a bias. Shapes are not enough: a slice of one weight may have the shape of
  /// another weight, whose columns lie elsewhere.
  static constexpr int most_inner_blocks = 4;
  using LayoutKey = std::array<std::int64_t, 6 + 2 * most_inner_blocks>;
  /// The products of one layout that were used last, by their number of rows.
  struct Products {
    std::list<std::pair<std::int64_t, Product>> by_use;
    std::unordered_map<std::int64_t, std::list<std::pair<std::int64_t, Product>>::iterator> by_rows;
  };

  dnnl::matmul::primitive_desc describe(std::int64_t m, const dnnl::memory::desc& weight,
                                        bool bias) const;
  dnnl::memory columns_of(const dnnl::memory& packed, std::int64_t begin, std::int64_t end,
                          std::int64_t offset) const;
  std::vector<dnnl::memory> sliced_columns(const dnnl::memory& packed, const Slices& slices) const;
  static LayoutKey key_of(const dnnl::memory::desc& weight, bool bias);
  Product& product(std::int64_t m, const dnnl::memory& weight, bool bias);
  void prepare(Product& product, int threads, bool bias) const;
  // Each answers whether oneDNN succeeded.
  bool execute(Product& product, int thread, const void* x, const dnnl::memory& weight,
               const float* bias, float* y, std::byte* scratchpad);
  bool run_rows(const Factors& f, std::int64_t m, const PackedMatrix& w, Slices slices,
                int threads);
  bool run_columns(const Factors& f, std::int64_t m, const PackedMatrix& w, int threads);
  bool run_chunk(const Factors& f, std::int64_t m, const PackedMatrix& w);
  void run_plain(const Tensor& x, const PlainMatrix& w, const Tensor& bias, const Tensor& y);

  Dtype dtype_;
  ThreadPool& threads_;
  dnnl::engine engine_;
  std::vector<dnnl::stream> streams_;  // [threads]
  std::map<LayoutKey, Products> products_;
  Scratch rounded_;     // x in bf16
  Scratch scratchpad_;  // oneDNN's, of each thread
  Scratch sliced_;      // slices of y, of each thread
  PlainGemm plain_;
};

}  // namespace gist::cpu
