#include "kernels/cpu/plain_gemm.h"

#include <oneapi/dnnl/dnnl.h>

#include <algorithm>
#include <array>
#include <atomic>

#include "kernels/cpu/library_threads.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/rounding.h"
#include "kernels/error.h"

namespace gist::cpu {
namespace {

/// Compiled products that are kept: fewer where many threads have arguments for each.
constexpr std::size_t max_products = 256;
constexpr std::size_t max_arguments = 1024;
/// Slices have multiples of so many rows and columns: whole register tiles, or a third of one where
/// tiles are long. Each has this many at least.
constexpr std::int64_t row_step = 8;
constexpr std::int64_t column_step = 16;
constexpr std::int64_t least_size = 32;

dnnl::memory::desc description(std::int64_t rows, std::int64_t columns, bool transposed) {
  using Tag = dnnl::memory::format_tag;
  return {{rows, columns}, dnnl::memory::data_type::bf16, transposed ? Tag::ba : Tag::ab};
}

}  // namespace

PlainGemm::PlainGemm(Dtype dtype, ThreadPool& threads, MemoryAccount& account)
    : dtype_(dtype),
      threads_(threads),
      engine_(dnnl::engine::kind::cpu, 0),
      rounded_a_(account),
      rounded_b_(account),
      scratchpad_(account) {
  for (int i = 0; i < threads.count(); ++i) streams_.emplace_back(engine_);
}

void PlainGemm::run(const Factor& a, const Factor& b, std::int64_t m, std::int64_t n,
                    std::int64_t k, bool accumulate, float* c) {
  if (m == 0 || n == 0) return;
  if (k == 0) {  // which oneDNN refuses
    if (!accumulate) std::fill_n(c, m * n, 0.0F);
    return;
  }
  for (const Dtype dtype : {a.dtype, b.dtype}) {
    if (dtype == Dtype::f32 || dtype == dtype_) continue;
    fail(ErrorKind::internal, "a factor in {} of a product in {}", name_of(dtype), name_of(dtype_));
  }
  const OneLibraryThread one_thread;
  const double nanoseconds = nanoseconds_of_product(m, n, k);
  const int threads = threads_of_product(threads_, nanoseconds);
  const std::int64_t wanted = slices_worth(threads, nanoseconds);
  const bool succeeded = dtype_ == Dtype::bf16
                             ? run_bf16(a, b, {m, n, k, accumulate, threads, wanted}, c)
                             : run_f32(a, b, {m, n, k, accumulate, threads, wanted}, c);
  if (!succeeded) {
    fail(ErrorKind::internal, "oneDNN failed on a product [{}, {}, {}]", m, n, k);
  }
}

/// Cut along c's longer side, and along the other where threads are left.
bool PlainGemm::run_f32(const Factor& a, const Factor& b, const Cut& cut, float* c) {
  const auto [m, n, k, accumulate, threads, wanted] = cut;
  const std::int64_t of_longer = std::clamp<std::int64_t>(std::max(m, n) / least_size, 1, wanted);
  const std::int64_t of_shorter =
      std::clamp<std::int64_t>(std::min(m, n) / least_size, 1, wanted / of_longer);
  const Slices rows = slices_of(m, m >= n ? of_longer : of_shorter, row_step);
  const Slices columns = slices_of(n, m >= n ? of_shorter : of_longer, column_step);
  const auto* left = static_cast<const float*>(a.data);
  const auto* right = static_cast<const float*>(b.data);
  std::atomic<bool> succeeded = true;
  threads_.run(rows.count() * columns.count(), threads,
               [&, m = m, n = n, k = k, beta = accumulate ? 1.0F : 0.0F](std::int64_t i, int) {
                 const std::int64_t row = rows.begin(i / columns.count());
                 const std::int64_t column = columns.begin(i % columns.count());
                 // Unlike compiled primitives it serves every number of rows at once, and each step
                 // has another.
                 const auto status = dnnl_sgemm(
                     a.transposed ? 'T' : 'N', b.transposed ? 'T' : 'N',
                     rows.size_of(i / columns.count()), columns.size_of(i % columns.count()), k, 1,
                     left + (a.transposed ? row : row * k), a.transposed ? m : k,
                     right + (b.transposed ? column * k : column), b.transposed ? k : n, beta,
                     c + row * n + column, n);
                 if (status != dnnl_success) succeeded = false;
               });
  return succeeded;
}

/// Cut along c's rows. A slice of a transposed factor is dense where it is rounded apart.
bool PlainGemm::run_bf16(const Factor& a, const Factor& b, const Cut& cut, float* c) {
  const auto [m, n, k, accumulate, threads, wanted] = cut;
  const Slices rows = slices_of(m, std::clamp<std::int64_t>(m / least_size, 1, wanted), row_step);
  const std::int64_t last_rows = rows.size_of(rows.count() - 1);
  Product& first = product({rows.size_of(0), n, k, a.transposed, b.transposed, accumulate});
  Product& last = product({last_rows, n, k, a.transposed, b.transposed, accumulate});
  prepare(first, threads);
  prepare(last, threads);
  const std::uint16_t* left = rounded_slices(a, rows, k);
  const std::uint16_t* right = rounded(b, k * n, rounded_b_);
  const std::size_t scratch =
      (std::max(first.scratchpad_bytes, last.scratchpad_bytes) + 63) / 64 * 64;
  std::byte* scratchpad = scratchpad_.reserve(scratch * static_cast<std::size_t>(threads_.count()));
  std::atomic<bool> succeeded = true;
  threads_.run(rows.count(), threads, [&, n = n, k = k](std::int64_t i, int thread) {
    const auto of_thread = static_cast<std::size_t>(thread);
    Product& product = rows.size_of(i) == rows.size_of(0) ? first : last;
    Arguments& own = product.arguments[of_thread];
    own.a.set_data_handle(const_cast<std::uint16_t*>(left + rows.begin(i) * k));
    own.b.set_data_handle(const_cast<std::uint16_t*>(right));
    own.c.set_data_handle(c + rows.begin(i) * n);
    own.scratchpad.set_data_handle(scratchpad + scratch * of_thread);
    const std::array<dnnl_exec_arg_t, 4> arguments{{{DNNL_ARG_SRC, own.a.get()},
                                                    {DNNL_ARG_WEIGHTS, own.b.get()},
                                                    {DNNL_ARG_DST, own.c.get()},
                                                    {DNNL_ARG_SCRATCHPAD, own.scratchpad.get()}}};
    dnnl_stream_t stream = streams_[of_thread].get();
    const auto status =
        dnnl_primitive_execute(product.primitive.get(), stream, 4, arguments.data());
    if (status != dnnl_success || dnnl_stream_wait(stream) != dnnl_success) succeeded = false;
  });
  return succeeded;
}

/// a[m, k], or of [k, m] each slice of columns by itself, in bf16.
const std::uint16_t* PlainGemm::rounded_slices(const Factor& a, const Slices& rows,
                                               std::int64_t k) {
  if (!a.transposed || rows.count() == 1) return rounded(a, rows.length * k, rounded_a_);
  const std::int64_t m = rows.length;
  auto* result = rounded_a_.reserve_array<std::uint16_t>(static_cast<std::size_t>(m * k));
  parallel_ranges(threads_, k, 16384 / m + 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = 0; i < rows.count(); ++i) {
      const std::int64_t size = rows.size_of(i);
      std::uint16_t* slice = result + rows.begin(i) * k;
      for (std::int64_t j = begin; j < end; ++j) {
        const std::int64_t from = j * m + rows.begin(i);
        if (a.dtype == Dtype::bf16) {
          std::copy_n(static_cast<const std::uint16_t*>(a.data) + from, size, slice + j * size);
        } else {
          round_to_bf16(static_cast<const float*>(a.data) + from, size, slice + j * size);
        }
      }
    }
  });
  return result;
}

void PlainGemm::prepare(Product& product, int threads) const {
  const auto wanted = static_cast<std::size_t>(threads > 1 ? threads_.count() : 1);
  const auto& description = product.description;
  while (product.arguments.size() < wanted) {
    Arguments& own = product.arguments.emplace_back();
    own.a = dnnl::memory(description.src_desc(), engine_, nullptr);
    own.b = dnnl::memory(description.weights_desc(), engine_, nullptr);
    own.c = dnnl::memory(description.dst_desc(), engine_, nullptr);
    own.scratchpad = dnnl::memory(description.scratchpad_desc(), engine_, nullptr);
  }
}

PlainGemm::Product& PlainGemm::product(const Key& key) {
  if (const auto found = products_.find(key); found != products_.end()) {
    by_use_.splice(by_use_.begin(), by_use_, found->second);
    return found->second->second;
  }
  const auto all = static_cast<std::size_t>(threads_.count());
  if (by_use_.size() == std::clamp<std::size_t>(max_arguments / all, 8, max_products)) {
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
  Product made;
  made.description = {
      dnnl::matmul::desc(description(m, k, a_transposed), description(k, n, b_transposed), c),
      attributes, engine_};
  made.primitive = dnnl::matmul(made.description);
  made.scratchpad_bytes = made.description.scratchpad_desc().get_size();
  by_use_.emplace_front(key, std::move(made));
  products_.emplace(key, by_use_.begin());
  return by_use_.front().second;
}

const std::uint16_t* PlainGemm::rounded(const Factor& factor, std::int64_t count,
                                        Scratch& target) const {
  if (factor.dtype == Dtype::bf16) return static_cast<const std::uint16_t*>(factor.data);
  auto* result = target.reserve_array<std::uint16_t>(static_cast<std::size_t>(count));
  round_to_bf16(static_cast<const float*>(factor.data), count, threads_, result);
  return result;
}

}  // namespace gist::cpu
