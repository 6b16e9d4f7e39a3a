// Matrix products and attention as fractions of what this machine's processor can do.
#include <benchmark/benchmark.h>

#include <cstdio>
#include <string>

#include "kernels/cpu/cpu_backend.h"
#include "tests/bench/kernel_benchmarks.h"

namespace gist::bench {
namespace {

struct NamedExtras {
  Extras extras;
  const char* name;
};
constexpr NamedExtras all_extras[] = {
    {Extras::none, ""}, {Extras::bias, ", bias"}, {Extras::dropout, ", dropout"}};

const AttentionCase attention_cases[] = {
    {"causal 2048", 1, 2048, 2048, 0, 32, 8, 128},
    {"causal 2048, dim 64", 1, 2048, 2048, 0, 16, 16, 64},
    {"gist after 1600 of 2048", 1, 2048, 2048, 1600, 32, 8, 128},
    {"causal 16 x 128", 16, 128, 128, 0, 32, 8, 128},
    {"decode 1 x 8192", 1, 1, 8192, 0, 32, 8, 128},
    {"decode 16 x 1024", 16, 1, 1024, 0, 32, 8, 128},
    {"decode 16 x 1024, no groups", 16, 1, 1024, 0, 32, 32, 128},
};

const AttentionCase training_cases[] = {
    {"causal 64 x 35, dim 32", 64, 35, 35, 0, 4, 4, 32},
    {"gist after 24, 64 x 35, dim 32", 64, 35, 35, 24, 4, 4, 32},
    {"causal 2048, dim 64", 1, 2048, 2048, 0, 8, 8, 64},
    {"causal 2048, dim 128", 1, 2048, 2048, 0, 8, 8, 128},
};

/// These cases have no groups, like T5's.
const AttentionCase bias_cases[] = {
    {"decode 1 x 2048, dim 64", 1, 1, 2048, 0, 16, 16, 64},
    {"decode 16 x 128, dim 64", 16, 1, 128, 0, 16, 16, 64},
};

void register_benchmarks(const Machine& machine) {
  constexpr Dtype f32 = Dtype::f32;
  for (const Dtype dtype : {Dtype::f32, Dtype::bf16}) {
    if (dtype == Dtype::bf16 && machine.limits.bf16_flops == 0) continue;
    register_gemm(machine, dtype, 4096, {1, 8, 64, 512, 2048});
  }
  for (const AttentionCase& c : attention_cases) {
    register_attention("attention " + c.name, machine, f32, c, false, Extras::none);
  }
  for (const AttentionCase& c : training_cases) {
    for (const auto& [extras, with] : all_extras) {
      const std::string of = c.name + with;
      register_attention("training attention " + of, machine, f32, c, true, extras);
      register_attention_backward("attention_backward " + of, machine, f32, c, extras);
    }
    register_rotate("rotate queries and keys " + c.name, machine, c);
  }
  for (const AttentionCase& c : bias_cases) {
    for (const auto& [extras, with] : all_extras) {
      register_attention("attention " + c.name + with, machine, f32, c, false, extras);
    }
  }
}

}  // namespace
}  // namespace gist::bench

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 64;
  const auto open = [](gist::Dtype dtype) { return gist::make_cpu_backend({.dtype = dtype}); };
  const gist::bench::MachineLimits limits = gist::bench::measure_machine();
  std::fprintf(stderr, "this machine: %.0f GFLOP/s f32, %.0f GFLOP/s bf16, %.1f GB/s read\n",
               limits.f32_flops * 1e-9, limits.bf16_flops * 1e-9, limits.bytes_read * 1e-9);
  gist::bench::register_benchmarks({open, limits});
  benchmark::RunSpecifiedBenchmarks();
}
