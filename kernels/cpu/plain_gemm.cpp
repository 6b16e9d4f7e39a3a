#include "kernels/cpu/plain_gemm.h"

#include <oneapi/dnnl/dnnl.h>

#include <algorithm>

#include "kernels/cpu/parallel.h"
#include "kernels/error.h"

namespace gist::cpu {
namespace {

constexpr std::size_t max_products = 256;

dnnl::memory::desc description(std::int64_t rows, std::int64_t columns, bool transposed) {
  using Tag = dnnl::memory::format_tag;
  return {{rows, columns}, dnnl::memory::data_type::bf16, transposed ? Tag::ba : Tag::ab};
}

}  // namespace

PlainGemm::PlainGemm(Dtype dtype, int threads, MemoryAccount& account)
    : dtype_(dtype),
      threads_(threads),
      engine_(dnnl::engine::kind::cpu, 0),
      stream_(engine_),
      rounded_a_(account),
      rounded_b_(account),
      scratchpad_(account) {}

void PlainGemm::run(const Factor& a, const Factor& b, std::int64_t m, std::int64_t n,
                    std::int64_t k, bool accumulate, float* c) {
  if (m == 0 || n == 0) return;
  if (k == 0) {  // which oneDNN refuses
    if (!accumulate) std::fill_n(c, m * n, 0.0F);
    return;
  }
  const ThreadScope scope(threads_);
  if (dtype_ == Dtype::bf16) return run_bf16(a, b, m, n, k, accumulate, c);
  // Unlike compiled primitives it serves every number of rows at once, and each step has another.
  const auto status =
      dnnl_sgemm(a.transposed ? 'T' : 'N', b.transposed ? 'T' : 'N', m, n, k, 1, a.data,
                 a.transposed ? m : k, b.data, b.transposed ? k : n, accumulate ? 1 : 0, c, n);
  if (status != dnnl_success) {
    fail(ErrorKind::internal, "oneDNN failed with status {} on a product [{}, {}, {}]",
         static_cast<int>(status), m, n, k);
  }
}

void PlainGemm::run_bf16(const Factor& a, const Factor& b, std::int64_t m, std::int64_t n,
                         std::int64_t k, bool accumulate, float* c) {
  Product& product = this->product({m, n, k, a.transposed, b.transposed, accumulate});
  product.a.set_data_handle(rounded(a.data, m * k, rounded_a_));
  product.b.set_data_handle(rounded(b.data, k * n, rounded_b_));
  product.c.set_data_handle(c);
  product.scratchpad.set_data_handle(scratchpad_.reserve(product.scratchpad_bytes));
  product.primitive.execute(stream_, {{DNNL_ARG_SRC, product.a},
                                      {DNNL_ARG_WEIGHTS, product.b},
                                      {DNNL_ARG_DST, product.c},
                                      {DNNL_ARG_SCRATCHPAD, product.scratchpad}});
  stream_.wait();
}

PlainGemm::Product& PlainGemm::product(const Key& key) {
  if (const auto found = products_.find(key); found != products_.end()) {
    by_use_.splice(by_use_.begin(), by_use_, found->second);
    return found->second->second;
  }
  if (by_use_.size() == max_products) {
    products_.erase(by_use_.back().first);
    by_use_.pop_back();
  }
  const auto& [m, n, k, a_transposed, b_transposed, accumulate] = key;
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  if (accumulate) {
    dnnl::post_ops sum;
    sum.append_sum(1);
    attributes.set_post_ops(sum);
  }
  const dnnl::memory::desc c({m, n}, dnnl::memory::data_type::f32, dnnl::memory::format_tag::ab);
  const dnnl::matmul::primitive_desc described(
      dnnl::matmul::desc(description(m, k, a_transposed), description(k, n, b_transposed), c),
      attributes, engine_);
  Product made;
  made.primitive = dnnl::matmul(described);
  made.a = dnnl::memory(described.src_desc(), engine_, nullptr);
  made.b = dnnl::memory(described.weights_desc(), engine_, nullptr);
  made.c = dnnl::memory(described.dst_desc(), engine_, nullptr);
  made.scratchpad = dnnl::memory(described.scratchpad_desc(), engine_, nullptr);
  made.scratchpad_bytes = described.scratchpad_desc().get_size();
  by_use_.emplace_front(key, std::move(made));
  products_.emplace(key, by_use_.begin());
  return by_use_.front().second;
}

std::uint16_t* PlainGemm::rounded(const float* values, std::int64_t count, Scratch& target) const {
  auto* result = target.reserve_array<std::uint16_t>(static_cast<std::size_t>(count));
  parallel_ranges(threads_, count, 16384, [&](std::int64_t begin, std::int64_t end) {
    convert_from_f32(values + begin, end - begin, Dtype::bf16,
                     reinterpret_cast<std::byte*>(result + begin));
  });
  return result;
}

}  // namespace gist::cpu
