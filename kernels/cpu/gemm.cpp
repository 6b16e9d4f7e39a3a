#include "kernels/cpu/gemm.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <string>
#include <vector>

#include "kernels/cpu/parallel.h"
#include "kernels/error.h"
#include "kernels/finite.h"

namespace gist::cpu {
namespace {

using Desc = dnnl::memory::desc;
using Tag = dnnl::memory::format_tag;

/// Longer inputs are multiplied in chunks of rows: it bounds how many products are compiled and how
/// much scratch they need, and a chunk is long enough to run at full speed.
constexpr std::int64_t max_rows = 1024;
/// How many rows the layout of a packed weight is chosen for. It serves all others as well.
constexpr std::int64_t layout_rows = 64;
/// Compiled products kept for each shape of weight.
constexpr std::size_t max_products = 96;

dnnl::memory::data_type data_type(Dtype dtype) {
  return dtype == Dtype::bf16 ? dnnl::memory::data_type::bf16 : dnnl::memory::data_type::f32;
}

[[noreturn]] void refuse_bf16() {
  fail(ErrorKind::unavailable,
       "this processor can't compute in bf16: AVX-512 (BW, VL and DQ) is missing; use --dtype f32");
}

void require_bf16() {
  const auto isa = static_cast<unsigned>(dnnl::get_effective_cpu_isa());
  const auto needed = static_cast<unsigned>(dnnl::cpu_isa::avx512_core);
  if ((isa & needed) != needed) refuse_bf16();
}

/// Where index i of dimension `dim` lies within a blocked layout: an element's offset is the sum of
/// its indices' offsets.
std::vector<std::int64_t> offsets_of(const dnnl_memory_desc_t& desc, int dim, std::int64_t size) {
  const auto& blocking = desc.format_desc.blocking;
  std::vector<std::int64_t> offsets(static_cast<std::size_t>(size));
  for (std::int64_t i = 0; i < size; ++i) {
    std::int64_t rest = i;
    std::int64_t offset = 0;
    std::int64_t stride = 1;
    for (int b = blocking.inner_nblks - 1; b >= 0; --b) {  // innermost first
      if (blocking.inner_idxs[b] == dim) {
        offset += rest % blocking.inner_blks[b] * stride;
        rest /= blocking.inner_blks[b];
      }
      stride *= blocking.inner_blks[b];
    }
    offsets[static_cast<std::size_t>(i)] = offset + rest * blocking.strides[dim];
  }
  return offsets;
}

/// at = the smaller of the two.
void lower(std::atomic<std::int64_t>& at, std::int64_t to) {
  std::int64_t before = at;
  while (to < before && !at.compare_exchange_weak(before, to)) {
  }
}

struct Layout {
  std::vector<std::int64_t> n;
  std::vector<std::int64_t> k;
};

template <typename Element>
Element element_of(float value) {
  if constexpr (sizeof(Element) == 2) {
    return f32_to_bf16(value);
  } else {
    return value;
  }
}

/// Writes a weight into its packed layout, converting a tile of rows at a time. Throws Error(data)
/// where a value isn't finite.
template <typename Element>
void pack_into(const HostTensor& weight, const Layout& layout, int threads, Element* target) {
  constexpr std::int64_t tile_n = 64;
  constexpr std::int64_t tile_k = 256;
  constexpr std::int64_t stride = tile_k + 16;  // not a power of two: tile columns would collide
  const std::int64_t n = weight.shape[0];
  const std::int64_t k = weight.shape[1];
  const auto element_bytes = static_cast<std::int64_t>(size_of(weight.dtype));
  std::atomic<std::int64_t> bad = n * k;  // the first element that isn't finite
  parallel_ranges(
      threads, (n + tile_n - 1) / tile_n, 1, [&](std::int64_t first, std::int64_t last) {
        alignas(64) float tile[tile_n * stride];
        for (std::int64_t n0 = first * tile_n; n0 < std::min(n, last * tile_n); n0 += tile_n) {
          const std::int64_t rows = std::min(tile_n, n - n0);
          for (std::int64_t k0 = 0; k0 < k; k0 += tile_k) {
            const std::int64_t columns = std::min(tile_k, k - k0);
            for (std::int64_t i = 0; i < rows; ++i) {
              const std::int64_t element = (n0 + i) * k + k0;
              convert_to_f32(weight.data + element * element_bytes, weight.dtype, columns,
                             tile + i * stride);
              const auto found =
                  first_not_finite(std::span(tile + i * stride, static_cast<std::size_t>(columns)));
              if (found) lower(bad, element + static_cast<std::int64_t>(*found));
            }
            for (std::int64_t j = 0; j < columns; ++j) {
              Element* column = target + layout.k[static_cast<std::size_t>(k0 + j)];
              const std::int64_t* offset = layout.n.data() + n0;
              for (std::int64_t i = 0; i < rows; ++i) {
                column[offset[i]] = element_of<Element>(tile[i * stride + j]);
              }
            }
          }
        }
      });
  if (bad < n * k) refuse_value(weight, bad);
}

}  // namespace

Gemm::Gemm(Dtype dtype, int threads, MemoryAccount& account)
    : dtype_(dtype),
      threads_(threads),
      engine_(dnnl::engine::kind::cpu, 0),
      stream_(engine_),
      rounded_(account),
      scratchpad_(account),
      plain_(dtype, threads, account) {
  if (dtype == Dtype::bf16) require_bf16();
}

dnnl::matmul::primitive_desc Gemm::describe(std::int64_t m, const Desc& weight, bool bias) const {
  const std::int64_t k = weight.dims()[0];
  const std::int64_t n = weight.dims()[1];
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  const Desc x({m, k}, data_type(dtype_), Tag::ab);
  const Desc y({m, n}, dnnl::memory::data_type::f32, Tag::ab);
  const Desc b({1, n}, dnnl::memory::data_type::f32, Tag::ab);
  const auto operation =
      bias ? dnnl::matmul::desc(x, weight, b, y) : dnnl::matmul::desc(x, weight, y);
  return {operation, attributes, engine_};
}

std::unique_ptr<Matrix> Gemm::pack(Backend& backend, const HostTensor& weight) {
  const std::int64_t n = weight.shape[0];
  const std::int64_t k = weight.shape[1];
  const ThreadScope scope(threads_);
  const Desc any({k, n}, data_type(dtype_), Tag::any);
  const Desc packed = describe(layout_rows, any, false).weights_desc();
  if (packed.data.format_kind != dnnl_blocked || packed.data.extra.flags != 0) {
    fail(ErrorKind::internal, "pack: oneDNN asks for an unknown layout of a weight {}",
         to_string(weight.shape));
  }
  Buffer storage = backend.allocate(packed.get_size());
  const Layout layout{offsets_of(packed.data, 1, n), offsets_of(packed.data, 0, k)};
  const bool padded = packed.get_size() != static_cast<std::size_t>(n * k) * size_of(dtype_);
  if (padded) std::memset(storage.data(), 0, packed.get_size());
  if (dtype_ == Dtype::bf16) {
    pack_into(weight, layout, threads_, static_cast<std::uint16_t*>(storage.data()));
  } else {
    pack_into(weight, layout, threads_, static_cast<float*>(storage.data()));
  }
  dnnl::memory memory(packed, engine_, storage.data());
  return std::make_unique<PackedMatrix>(std::move(storage), std::move(memory), n, k);
}

Gemm::Product& Gemm::product(std::int64_t m, const PackedMatrix& w, bool bias) {
  Products& products = products_[{w.n(), w.k(), bias}];
  if (const auto found = products.by_rows.find(m); found != products.by_rows.end()) {
    products.by_use.splice(products.by_use.begin(), products.by_use, found->second);
    return found->second->second;
  }
  if (products.by_use.size() == max_products) {
    products.by_rows.erase(products.by_use.back().first);
    products.by_use.pop_back();
  }
  const auto description = describe(m, w.memory().get_desc(), bias);
  Product made;
  made.primitive = dnnl::matmul(description);
  made.x = dnnl::memory(description.src_desc(), engine_, nullptr);
  made.y = dnnl::memory(description.dst_desc(), engine_, nullptr);
  if (bias) made.bias = dnnl::memory(description.bias_desc(), engine_, nullptr);
  made.scratchpad = dnnl::memory(description.scratchpad_desc(), engine_, nullptr);
  made.scratchpad_bytes = description.scratchpad_desc().get_size();
  products.by_use.emplace_front(m, std::move(made));
  products.by_rows.emplace(m, products.by_use.begin());
  return products.by_use.front().second;
}

void Gemm::run_plain(const Tensor& x, const PlainMatrix& w, const Tensor& bias, const Tensor& y) {
  const std::int64_t m = x.shape[0];
  auto* out = static_cast<float*>(y.data);
  if (bias.data != nullptr) {
    const auto* row = static_cast<const float*>(bias.data);
    for (std::int64_t i = 0; i < m; ++i) std::copy_n(row, w.n(), out + i * w.n());
  }
  plain_.run({static_cast<const float*>(x.data)}, {w.data(), true}, m, w.n(), w.k(),
             bias.data != nullptr, out);
}

void Gemm::run(const Tensor& x, const Matrix& w, const Tensor& bias, const Tensor& y) {
  if (const auto* plain = dynamic_cast<const PlainMatrix*>(&w)) {
    return run_plain(x, *plain, bias, y);
  }
  const auto* packed = dynamic_cast<const PackedMatrix*>(&w);
  if (packed == nullptr) {
    fail(ErrorKind::internal, "gemm: the weight [{}, {}] was packed by another backend", w.n(),
         w.k());
  }
  const ThreadScope scope(threads_);
  const bool with_bias = bias.data != nullptr;
  for (std::int64_t m0 = 0; m0 < x.shape[0]; m0 += max_rows) {
    const std::int64_t m = std::min(max_rows, x.shape[0] - m0);
    Product& product = this->product(m, *packed, with_bias);
    void* input = x.rows(m0, m0 + m).data;
    if (dtype_ == Dtype::bf16) {
      auto* rounded = rounded_.reserve_array<std::uint16_t>(static_cast<std::size_t>(m * w.k()));
      const auto* source = static_cast<const float*>(input);
      parallel_ranges(threads_, m * w.k(), 16384, [&](std::int64_t begin, std::int64_t end) {
        convert_from_f32(source + begin, end - begin, Dtype::bf16,
                         reinterpret_cast<std::byte*>(rounded + begin));
      });
      input = rounded;
    }
    product.x.set_data_handle(input);
    product.y.set_data_handle(y.rows(m0, m0 + m).data);
    product.scratchpad.set_data_handle(scratchpad_.reserve(product.scratchpad_bytes));
    if (with_bias) product.bias.set_data_handle(bias.data);
    // The C interface: a fixed array instead of a map that is built in each call.
    const std::array<dnnl_exec_arg_t, 5> arguments{{
        {DNNL_ARG_SRC, product.x.get()},
        {DNNL_ARG_WEIGHTS, packed->memory().get()},
        {DNNL_ARG_DST, product.y.get()},
        {DNNL_ARG_SCRATCHPAD, product.scratchpad.get()},
        {DNNL_ARG_BIAS, with_bias ? product.bias.get() : nullptr},
    }};
    const auto status = dnnl_primitive_execute(product.primitive.get(), stream_.get(),
                                               with_bias ? 5 : 4, arguments.data());
    if (status != dnnl_success) {
      fail(ErrorKind::internal, "gemm: oneDNN failed with status {} on x {} and a weight [{}, {}]",
           static_cast<int>(status), to_string(x.shape), w.n(), w.k());
    }
  }
  dnnl_stream_wait(stream_.get());
}

}  // namespace gist::cpu
