// Matrix products of f32 arrays that stand where they are, for training: weights change with every
// step, so nothing is packed.
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <oneapi/dnnl/dnnl.hpp>
#include <tuple>

#include "kernels/cpu/memory.h"
#include "kernels/tensor.h"

namespace gist::cpu {

/// One factor of a product, row-major; `transposed`: it is read as its transpose.
struct Factor {
  const float* data;
  bool transposed = false;
};

class PlainGemm {
 public:
  PlainGemm(Dtype dtype, int threads, MemoryAccount& account);

  /// c[m, n] = a[m, k] b[k, n], added to what c holds where `accumulate`. In bf16 both factors are
  /// rounded first; sums are f32.
  void run(const Factor& a, const Factor& b, std::int64_t m, std::int64_t n, std::int64_t k,
           bool accumulate, float* c);

 private:
  /// Of a bf16 product: sizes, which factors are transposed, and whether it accumulates.
  using Key = std::tuple<std::int64_t, std::int64_t, std::int64_t, bool, bool, bool>;
  struct Product {
    dnnl::matmul primitive;
    dnnl::memory a, b, c, scratchpad;
    std::size_t scratchpad_bytes = 0;
  };
  void run_bf16(const Factor& a, const Factor& b, std::int64_t m, std::int64_t n, std::int64_t k,
                bool accumulate, float* c);
  Product& product(const Key& key);
  std::uint16_t* rounded(const float* values, std::int64_t count, Scratch& target) const;

  Dtype dtype_;
  int threads_;
  dnnl::engine engine_;
  dnnl::stream stream_;
  std::list<std::pair<Key, Product>> by_use_;  // compiled products, the last used first
  std::map<Key, std::list<std::pair<Key, Product>>::iterator> products_;
  Scratch rounded_a_, rounded_b_;  // in bf16
  Scratch scratchpad_;             // oneDNN's
};

}  // namespace gist::cpu
