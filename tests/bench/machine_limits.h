// Machine limits are what the machine can do at best, measured: benchmarks report their figures as
// fractions of it.
#pragma once

namespace gist::bench {

struct MachineLimits {
  double f32_flops = 0;   // a second: the product of two large squares
  double bf16_flops = 0;  // 0 where the processor can't
  double bytes_read = 0;  // a second, from memory
};

/// Measures the processor's limits by oneDNN's products.
MachineLimits measure_machine();

}  // namespace gist::bench
