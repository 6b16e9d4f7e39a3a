// Factors of matrix products, rounded to bf16.
#pragma once

#include <cstdint>

#include "kernels/cpu/thread_pool.h"

namespace gist::cpu {

/// Writes `count` values to `target` as bf16, each as f32_to_bf16 (kernels/tensor.h) rounds it, on one
/// thread. The two may not overlap.
void round_to_bf16(const float* values, std::int64_t count, std::uint16_t* target);
/// The same on all threads.
void round_to_bf16(const float* values, std::int64_t count, ThreadPool& threads,
                   std::uint16_t* target);

}  // namespace gist::cpu
