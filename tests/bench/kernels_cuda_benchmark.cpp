// Matrix products and attention as fractions of what the CUDA device 0 can do.
//
//   kernels_cuda_benchmark [Google Benchmark's options] [--tiny]
//
// --tiny: shapes that show no more than that everything runs.
#include <benchmark/benchmark.h>

#include <cstdio>
#include <string>
#include <string_view>

#include "kernels/cuda/cuda_backend.h"
#include "kernels/error.h"
#include "tests/bench/fastest.h"
#include "tests/bench/kernel_benchmarks.h"

namespace gist::bench {
namespace {

struct Sizes {
  std::vector<std::int32_t> lengths;
  std::int64_t width;  // heads * dim
  std::int64_t matrix;
  std::vector<std::int64_t> rows;
  std::int32_t cached;  // keys of a query alone
  std::int64_t copied_floats;
  int calls;
};
const Sizes whole{.lengths = {512, 1024, 2048, 4096, 8192},
                  .width = 2048,
                  .matrix = 8192,
                  .rows = {1, 8, 64, 512, 2048, 8192},
                  .cached = 8192,
                  .copied_floats = std::int64_t{256} << 20,
                  .calls = 10};
const Sizes tiny{.lengths = {64, 128},
                 .width = 256,
                 .matrix = 64,
                 .rows = {1, 8},
                 .cached = 64,
                 .copied_floats = 1 << 10,
                 .calls = 2};

std::unique_ptr<Backend> open(Dtype dtype) {
  return make_cuda_backend({.dtype = dtype});
}

/// The backend's product: in bf16 it has the input to round, too.
double product_flops(Dtype dtype, std::int64_t size) {
  const auto backend = open(dtype);
  const std::vector<float> values = mixed_values(size * size);
  const Buffer of_x = backend->allocate(values.size() * sizeof(float));
  const Buffer of_y = backend->allocate(values.size() * sizeof(float));
  const Tensor x{of_x.data(), Dtype::f32, {size, size}};
  const Tensor y{of_y.data(), Dtype::f32, {size, size}};
  backend->upload(x, values.data());
  const auto w =
      backend->pack({reinterpret_cast<const std::byte*>(values.data()), Dtype::f32, {size, size}});
  const double seconds = fastest([&] {
    backend->run(ops::Gemm{.x = x, .w = *w, .y = y});
    backend->synchronize();
  });
  return 2.0 * static_cast<double>(size * size * size) / seconds;
}

/// A copy's, reads and writes together.
double bandwidth(std::int64_t floats) {
  const auto backend = open(Dtype::f32);
  const std::size_t bytes = static_cast<std::size_t>(floats) * sizeof(float);
  const Buffer from = backend->allocate(bytes);
  const Buffer to = backend->allocate(bytes);
  const Tensor source{from.data(), Dtype::f32, {floats}};
  const Tensor target{to.data(), Dtype::f32, {floats}};
  backend->run(ops::Zero{.x = source});
  const double seconds = fastest([&] {
    backend->copy(source, target);
    backend->synchronize();
  });
  return 2.0 * static_cast<double>(bytes) / seconds;
}

MachineLimits measure_device(const Sizes& sizes) {
  return {product_flops(Dtype::f32, sizes.matrix), product_flops(Dtype::bf16, sizes.matrix),
          bandwidth(sizes.copied_floats)};
}

void register_benchmarks(const Machine& machine, const Sizes& sizes) {
  for (const Dtype dtype : {Dtype::f32, Dtype::bf16}) {
    const std::string of = " " + std::string(name_of(dtype)) + " ";
    register_gemm(machine, dtype, sizes.matrix, sizes.rows);
    for (const std::int32_t n : sizes.lengths) {
      for (const std::int64_t dim : {64, 128}) {
        const std::int64_t heads = sizes.width / dim;
        const std::string shape = " " + std::to_string(n) + " x " + std::to_string(dim);
        for (const AttentionCase& c : {AttentionCase{"causal", 1, n, n, 0, heads, heads, dim},
                                       {"gist", 1, n, n, n / 4 * 3, heads, heads, dim}}) {
          const std::string name = of + c.name + shape;
          register_attention("attention" + name, machine, dtype, c, true, Extras::none);
          register_attention_backward("attention_backward" + name, machine, dtype, c, Extras::none);
        }
      }
    }
    for (const std::int32_t rows : {1, 16}) {
      const std::int32_t keys = sizes.cached / rows;
      const AttentionCase c{"decode", rows, 1, keys, 0, 32, 8, 128};
      register_attention(
          "attention" + of + "decode " + std::to_string(rows) + " x " + std::to_string(keys),
          machine, dtype, c, false, Extras::none);
    }
  }
}

int run(const Sizes& sizes) {
  const MachineLimits limits = measure_device(sizes);
  std::fprintf(stderr, "this device: %.0f GFLOP/s f32, %.0f GFLOP/s bf16, %.1f GB/s copied\n",
               limits.f32_flops * 1e-9, limits.bf16_flops * 1e-9, limits.bytes_read * 1e-9);
  register_benchmarks({open, limits, sizes.calls}, sizes);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}

}  // namespace
}  // namespace gist::bench

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  const bool is_tiny = argc > 1 && std::string_view(argv[argc - 1]) == "--tiny";
  if (is_tiny) --argc;
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 64;
  try {
    return gist::bench::run(is_tiny ? gist::bench::tiny : gist::bench::whole);
  } catch (const gist::Error& error) {
    std::fprintf(stderr, "kernels_cuda_benchmark: %s\n", error.what());
    return 69;
  }
}
