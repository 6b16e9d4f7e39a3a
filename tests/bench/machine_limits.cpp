#include "tests/bench/machine_limits.h"

#include <cstdint>
#include <cstring>
#include <oneapi/dnnl/dnnl.hpp>
#include <vector>

#include "tests/bench/fastest.h"

namespace gist::bench {
namespace {

double product_flops(dnnl::memory::data_type dtype) {
  using dnnl::memory;
  constexpr std::int64_t size = 2048;
  const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  dnnl::stream stream(engine);
  const memory::desc plain({size, size}, dtype, memory::format_tag::ab);
  const memory::desc any({size, size}, dtype, memory::format_tag::any);
  const memory::desc sums({size, size}, memory::data_type::f32, memory::format_tag::ab);
  const dnnl::matmul::primitive_desc description({plain, any, sums}, engine);
  memory a(plain, engine);
  memory b(description.weights_desc(), engine);
  memory c(sums, engine);
  std::memset(a.get_data_handle(), 0, plain.get_size());
  std::memset(b.get_data_handle(), 0, description.weights_desc().get_size());
  const dnnl::matmul product(description);
  const double seconds = fastest([&] {
    product.execute(stream, {{DNNL_ARG_SRC, a}, {DNNL_ARG_WEIGHTS, b}, {DNNL_ARG_DST, c}});
    stream.wait();
  });
  return 2.0 * size * size * size / seconds;
}

double read_bandwidth() {
  std::vector<std::uint64_t> memory(std::size_t{64} << 20, 1);  // 512 MiB: more than caches hold
  const auto words = static_cast<std::int64_t>(memory.size());
  volatile std::uint64_t seen = 0;
  const double seconds = fastest([&] {
    std::uint64_t sum = 0;
#pragma omp parallel for reduction(+ : sum)
    for (std::int64_t i = 0; i < words; ++i) sum += memory[static_cast<std::size_t>(i)];
    seen = sum;
  });
  return static_cast<double>(memory.size() * sizeof(std::uint64_t)) / seconds;
}

}  // namespace

MachineLimits measure_machine() {
  MachineLimits limits;
  limits.f32_flops = product_flops(dnnl::memory::data_type::f32);
  try {
    limits.bf16_flops = product_flops(dnnl::memory::data_type::bf16);
  } catch (const dnnl::error&) {
    limits.bf16_flops = 0;
  }
  limits.bytes_read = read_bandwidth();
  return limits;
}

}  // namespace gist::bench
