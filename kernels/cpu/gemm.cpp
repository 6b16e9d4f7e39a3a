#include "kernels/cpu/gemm.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <string>

#include "kernels/cpu/library_threads.h"
#include "kernels/cpu/operations.h"
#include "kernels/cpu/pack_weight.h"
#include "kernels/cpu/rounding.h"
#include "kernels/error.h"

namespace gist::cpu {
namespace {

using Desc = dnnl::memory::desc;
using Tag = dnnl::memory::format_tag;

/// Longer inputs are multiplied in chunks of rows: it bounds how many products are compiled and how
/// much scratch they need, and a chunk is long enough to run at full speed.
constexpr std::int64_t max_rows = 1024;
/// How many rows the layout of a packed weight is chosen for. It serves all others as well.
constexpr std::int64_t layout_rows = 64;
/// Compiled products kept for each shape of weight: fewer where many threads have arguments for
/// each.
constexpr std::size_t max_products = 96;
constexpr std::size_t max_arguments = 1024;

/// A slice has a multiple of so many rows of x, and this many or more, or columns of the weight.
constexpr std::int64_t row_step = 4;
constexpr std::int64_t least_rows = 16;
constexpr std::int64_t least_columns = 64;
/// Rows of x are shared out where each thread gets so many, or where the weight is this small:
/// otherwise each thread reads its own part of the weight.
constexpr std::int64_t many_rows = 64;
constexpr std::size_t small_weight = std::size_t{1} << 20;

dnnl::memory::data_type data_type(Dtype dtype) {
  return dtype == Dtype::bf16 ? dnnl::memory::data_type::bf16 : dnnl::memory::data_type::f32;
}

[[noreturn]] void refuse_bf16() {
  fail(ErrorKind::unavailable,
       "this processor can't compute in bf16: AVX-512 (BW, VL and DQ) is missing; compute in f32 "
       "(--dtype f32)");
}

/// Threads' parts of a scratch don't share cache lines.
std::size_t aligned(std::size_t bytes) {
  return (bytes + 63) / 64 * 64;
}

void require_bf16() {
  const auto isa = static_cast<unsigned>(dnnl::get_effective_cpu_isa());
  const auto needed = static_cast<unsigned>(dnnl::cpu_isa::avx512_core);
  if ((isa & needed) != needed) refuse_bf16();
}

}  // namespace

Gemm::Gemm(Dtype dtype, ThreadPool& threads, MemoryAccount& account)
    : dtype_(dtype),
      threads_(threads),
      engine_(dnnl::engine::kind::cpu, 0),
      rounded_(account),
      scratchpad_(account),
      sliced_(account),
      plain_(dtype, threads, account) {
  if (dtype == Dtype::bf16) require_bf16();
  for (int i = 0; i < threads.count(); ++i) streams_.emplace_back(engine_);
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

/// Columns [begin, end) of a packed weight, where `begin` divides by the layout's blocks.
dnnl::memory Gemm::columns_of(const dnnl::memory& packed, std::int64_t begin, std::int64_t end,
                              std::int64_t offset) const {
  dnnl_memory_desc_t desc = packed.get_desc().data;
  const std::int64_t n = desc.dims[1];
  if (end == n) desc.padded_dims[1] -= begin;
  if (end < n) desc.padded_dims[1] = end - begin;
  desc.dims[1] = end - begin;
  auto* data = static_cast<std::byte*>(packed.get_data_handle());
  return {Desc(desc), engine_, data + static_cast<std::size_t>(offset) * size_of(dtype_)};
}

std::unique_ptr<Matrix> Gemm::pack(Backend& backend, const HostTensor& weight) {
  const std::int64_t n = weight.shape[0];
  const std::int64_t k = weight.shape[1];
  const OneLibraryThread one_thread;
  const Desc any({k, n}, data_type(dtype_), Tag::any);
  const Desc packed = describe(layout_rows, any, false).weights_desc();
  if (packed.data.format_kind != dnnl_blocked || packed.data.extra.flags != 0 ||
      packed.data.format_desc.blocking.inner_nblks > most_inner_blocks) {
    fail(ErrorKind::internal, "pack: oneDNN asks for an unknown layout of a weight {}",
         to_string(weight.shape));
  }
  Buffer storage = backend.allocate(packed.get_size());
  const bool padded = packed.get_size() != static_cast<std::size_t>(n * k) * size_of(dtype_);
  if (padded) std::memset(storage.data(), 0, packed.get_size());
  pack_weight(weight, packed.data, dtype_, threads_, storage.data());
  const dnnl::memory whole(packed, engine_, storage.data());

  // Sliced once for all products, so that these are few. A slice holds whole blocks of the layout.
  const std::int64_t block = block_of(packed.data, 1);
  const Slices slices = slices_of(n, threads_.count(), (least_columns + block - 1) / block * block);
  return std::make_unique<PackedMatrix>(std::move(storage), whole, slices,
                                        sliced_columns(whole, slices), n, k);
}

/// Views of a packed weight's slices; none where there is one alone, or a slice has no fast
/// product.
std::vector<dnnl::memory> Gemm::sliced_columns(const dnnl::memory& packed,
                                               const Slices& slices) const {
  std::vector<dnnl::memory> columns;
  if (slices.count() < 2) return columns;
  const Desc desc = packed.get_desc();
  const std::vector<std::int64_t> offsets = offsets_of(desc.data, 1, slices.length);
  for (std::int64_t i = 0; i < slices.count(); ++i) {
    const std::int64_t begin = slices.begin(i);
    columns.push_back(
        columns_of(packed, begin, slices.end(i), offsets[static_cast<std::size_t>(begin)]));
  }
  for (const dnnl::memory* each : {&columns.front(), &columns.back()}) {
    const std::string name = describe(layout_rows, each->get_desc(), false).impl_info_str();
    if (name.starts_with("ref")) return {};
  }
  return columns;
}

Gemm::LayoutKey Gemm::key_of(const Desc& weight, bool bias) {
  const auto& blocking = weight.data.format_desc.blocking;
  LayoutKey key{weight.data.dims[0], weight.data.dims[1],  blocking.strides[0],
                blocking.strides[1], blocking.inner_nblks, bias ? 1 : 0};
  std::size_t at = 6;
  for (int b = 0; b < blocking.inner_nblks; ++b) {
    key[at++] = blocking.inner_blks[b];
    key[at++] = blocking.inner_idxs[b];
  }
  return key;
}

Gemm::Product& Gemm::product(std::int64_t m, const dnnl::memory& weight, bool bias) {
  const Desc desc = weight.get_desc();
  Products& products = products_[key_of(desc, bias)];
  if (const auto found = products.by_rows.find(m); found != products.by_rows.end()) {
    products.by_use.splice(products.by_use.begin(), products.by_use, found->second);
    return found->second->second;
  }
  const auto all = static_cast<std::size_t>(threads_.count());
  const std::size_t most = std::clamp<std::size_t>(max_arguments / all, 8, max_products);
  if (products.by_use.size() == most) {
    products.by_rows.erase(products.by_use.back().first);
    products.by_use.pop_back();
  }
  Product made;
  made.description = describe(m, desc, bias);
  made.primitive = dnnl::matmul(made.description);
  made.scratchpad_bytes = made.description.scratchpad_desc().get_size();
  products.by_use.emplace_front(m, std::move(made));
  products.by_rows.emplace(m, products.by_use.begin());
  return products.by_use.front().second;
}

void Gemm::prepare(Product& product, int threads, bool bias) const {
  const auto wanted = static_cast<std::size_t>(threads > 1 ? threads_.count() : 1);
  const auto& description = product.description;
  while (product.arguments.size() < wanted) {
    Arguments& own = product.arguments.emplace_back();
    own.x = dnnl::memory(description.src_desc(), engine_, nullptr);
    own.y = dnnl::memory(description.dst_desc(), engine_, nullptr);
    if (bias) own.bias = dnnl::memory(description.bias_desc(), engine_, nullptr);
    own.scratchpad = dnnl::memory(description.scratchpad_desc(), engine_, nullptr);
  }
}

bool Gemm::execute(Product& product, int thread, const void* x, const dnnl::memory& weight,
                   const float* bias, float* y, std::byte* scratchpad) {
  Arguments& own = product.arguments[static_cast<std::size_t>(thread)];
  own.x.set_data_handle(const_cast<void*>(x));
  own.y.set_data_handle(y);
  own.scratchpad.set_data_handle(scratchpad);
  if (bias != nullptr) own.bias.set_data_handle(const_cast<float*>(bias));
  // The C interface: a fixed array instead of a map that is built in each call.
  const std::array<dnnl_exec_arg_t, 5> arguments{{
      {DNNL_ARG_SRC, own.x.get()},
      {DNNL_ARG_WEIGHTS, weight.get()},
      {DNNL_ARG_DST, own.y.get()},
      {DNNL_ARG_SCRATCHPAD, own.scratchpad.get()},
      {DNNL_ARG_BIAS, bias != nullptr ? own.bias.get() : nullptr},
  }};
  dnnl_stream_t stream = streams_[static_cast<std::size_t>(thread)].get();
  const auto status = dnnl_primitive_execute(product.primitive.get(), stream,
                                             bias != nullptr ? 5 : 4, arguments.data());
  return status == dnnl_success && dnnl_stream_wait(stream) == dnnl_success;
}

void Gemm::run_plain(const Tensor& x, const PlainMatrix& w, const Tensor& bias, const Tensor& y) {
  const std::int64_t m = x.shape[0];
  auto* out = static_cast<float*>(y.data);
  if (bias.data != nullptr) {
    const auto* row = static_cast<const float*>(bias.data);
    for (std::int64_t i = 0; i < m; ++i) std::copy_n(row, w.n(), out + i * w.n());
  }
  plain_.run({x.data}, {w.weight().data, true, w.weight().dtype}, m, w.n(), w.k(),
             bias.data != nullptr, out);
}

/// Each slice has rows of x, and of y.
bool Gemm::run_rows(const Factors& f, std::int64_t m, const PackedMatrix& w, Slices slices,
                    int threads) {
  const bool with_bias = f.bias != nullptr;
  Product& first = product(slices.size_of(0), w.memory(), with_bias);
  Product& last = product(slices.size_of(slices.count() - 1), w.memory(), with_bias);
  prepare(first, threads, with_bias);
  prepare(last, threads, with_bias);
  const std::size_t scratch = aligned(std::max(first.scratchpad_bytes, last.scratchpad_bytes));
  std::byte* scratchpad = scratchpad_.reserve(scratch * static_cast<std::size_t>(threads_.count()));
  std::atomic<bool> succeeded = true;
  threads_.run(slices.count(), threads, [&](std::int64_t i, int thread) {
    const std::int64_t begin = slices.begin(i);
    const bool whole = slices.end(i) < m || i == 0;
    if (!execute(whole ? first : last, thread,
                 f.x + static_cast<std::size_t>(begin * w.k()) * size_of(dtype_), w.memory(),
                 f.bias, f.y + begin * w.n(),
                 scratchpad + scratch * static_cast<std::size_t>(thread))) {
      succeeded = false;
    }
  });
  return succeeded;
}

/// Each slice has columns of the weight, and of y. oneDNN is fast only where y is dense: where it
/// has several rows, a slice is computed apart and copied.
bool Gemm::run_columns(const Factors& f, std::int64_t m, const PackedMatrix& w, int threads) {
  const Slices& slices = w.slices();
  const bool with_bias = f.bias != nullptr;
  Product& first = product(m, w.columns().front(), with_bias);
  Product& last = product(m, w.columns().back(), with_bias);
  prepare(first, threads, with_bias);
  prepare(last, threads, with_bias);
  const std::size_t scratch = aligned(std::max(first.scratchpad_bytes, last.scratchpad_bytes));
  const std::size_t part = aligned(static_cast<std::size_t>(m * slices.size) * sizeof(float));
  const auto count = static_cast<std::size_t>(threads_.count());
  std::byte* scratchpad = scratchpad_.reserve(scratch * count);
  std::byte* parts = m == 1 ? nullptr : sliced_.reserve(part * count);
  std::atomic<bool> succeeded = true;
  threads_.run(slices.count(), threads, [&](std::int64_t i, int thread) {
    const auto own = static_cast<std::size_t>(thread);
    const std::int64_t begin = slices.begin(i);
    const std::int64_t columns = slices.size_of(i);
    float* y = m == 1 ? f.y + begin : reinterpret_cast<float*>(parts + part * own);
    if (!execute(columns == slices.size ? first : last, thread, f.x,
                 w.columns()[static_cast<std::size_t>(i)], with_bias ? f.bias + begin : nullptr, y,
                 scratchpad + scratch * own)) {
      succeeded = false;
    }
    for (std::int64_t row = 0; m > 1 && row < m; ++row) {
      std::copy_n(y + row * columns, columns, f.y + row * w.n() + begin);
    }
  });
  return succeeded;
}

bool Gemm::run_chunk(const Factors& f, std::int64_t m, const PackedMatrix& w) {
  const double nanoseconds = nanoseconds_of_product(m, w.n(), w.k());
  const int threads = threads_of_product(threads_, nanoseconds);
  if (threads > 1) {
    const bool small = w.bytes() <= small_weight && m >= least_rows * threads;
    const bool by_rows = m >= many_rows * threads || small;
    if (!by_rows && !w.columns().empty()) return run_columns(f, m, w, threads);
    return run_rows(f, m, w, slices_of(m, slices_worth(threads, nanoseconds), row_step), threads);
  }
  return run_rows(f, m, w, {m, m}, 1);
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
  const OneLibraryThread one_thread;
  for (std::int64_t m0 = 0; m0 < x.shape[0]; m0 += max_rows) {
    const std::int64_t m = std::min(max_rows, x.shape[0] - m0);
    const void* input = x.rows(m0, m0 + m).data;
    if (dtype_ == Dtype::bf16) {
      auto* rounded = rounded_.reserve_array<std::uint16_t>(static_cast<std::size_t>(m * w.k()));
      round_to_bf16(static_cast<const float*>(input), m * w.k(), threads_, rounded);
      input = rounded;
    }
    const Factors factors{static_cast<const std::byte*>(input),
                          static_cast<const float*>(bias.data),
                          static_cast<float*>(y.rows(m0, m0 + m).data)};
    if (!run_chunk(factors, m, *packed)) {
      fail(ErrorKind::internal, "gemm: oneDNN failed on x {} and a weight [{}, {}]",
           to_string(x.shape), w.n(), w.k());
    }
  }
}

void compute(const ops::Gemm& op, Context& context) {
  context.gemm.run(op.x, op.w, op.bias, op.y);
}

}  // namespace gist::cpu
