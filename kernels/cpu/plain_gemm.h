// Matrix products of arrays that stand where they are, for training: weights change with every step,
// or are read in both directions, so nothing is packed.
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <oneapi/dnnl/dnnl.hpp>
#include <tuple>
#include <vector>

#include "kernels/cpu/memory.h"
#include "kernels/cpu/product_slices.h"
#include "kernels/tensor.h"

namespace gist::cpu {

/// One factor of a product, row-major.
struct Factor {
  const void* data;
  bool transposed = false;   // whether it is read as its transpose
  Dtype dtype = Dtype::f32;  // or bf16, where products are computed in that
};

class PlainGemm {
 public:
  PlainGemm(Dtype dtype, ThreadPool& threads, MemoryAccount& account);

  /// c[m, n] = a[m, k] b[k, n], added to what c holds where `accumulate`. In bf16, factors that are
  /// f32 are rounded first; sums are f32.
  void run(const Factor& a, const Factor& b, std::int64_t m, std::int64_t n, std::int64_t k,
           bool accumulate, float* c);

 private:
  /// A Key tells bf16 products apart: sizes, which factors are transposed, and whether it
  /// accumulates.
  using Key = std::tuple<std::int64_t, std::int64_t, std::int64_t, bool, bool, bool>;
  struct Arguments {
    dnnl::memory a, b, c, scratchpad;
  };
  struct Product {
    dnnl::matmul::primitive_desc description;
    dnnl::matmul primitive;
    std::vector<Arguments> arguments;  // [threads], or of the first alone
    std::size_t scratchpad_bytes = 0;
  };
  /// A product, and on how many threads, in about how many slices, it is computed.
  struct Cut {
    std::int64_t m, n, k;
    bool accumulate;
    int threads;
    std::int64_t wanted;
  };
  // Each answers whether oneDNN succeeded.
  bool run_f32(const Factor& a, const Factor& b, const Cut& cut, float* c);
  bool run_bf16(const Factor& a, const Factor& b, const Cut& cut, float* c);
  const std::uint16_t* rounded_slices(const Factor& a, const Slices& rows, std::int64_t k);
  void prepare(Product& product, int threads) const;
  Product& product(const Key& key);
  const std::uint16_t* rounded(const Factor& factor, std::int64_t count, Scratch& target) const;

  Dtype dtype_;
  ThreadPool& threads_;
  dnnl::engine engine_;
  std::vector<dnnl::stream> streams_;          // [threads]
  std::list<std::pair<Key, Product>> by_use_;  // compiled products, the last used first
  std::map<Key, std::list<std::pair<Key, Product>>::iterator> products_;
  Scratch rounded_a_, rounded_b_;  // in bf16
  Scratch scratchpad_;             // oneDNN's, of each thread
};

}  // namespace gist::cpu
