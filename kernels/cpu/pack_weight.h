// Writing a weight into the layout that oneDNN's fastest product wants.
#pragma once

#include <cstdint>
#include <oneapi/dnnl/dnnl.hpp>
#include <vector>

#include "kernels/cpu/thread_pool.h"
#include "kernels/tensor.h"

namespace gist::cpu {

/// Where index i of dimension `dim` lies within a blocked layout, in elements: an element's offset
/// is the sum of its indices' offsets.
std::vector<std::int64_t> offsets_of(const dnnl_memory_desc_t& desc, int dim, std::int64_t size);
/// How many indices of a dimension the layout keeps together.
std::int64_t block_of(const dnnl_memory_desc_t& desc, int dim);

/// Writes a weight [n, k] to `target`, in the layout [k, n] that `packed` describes and in `dtype`
/// (f32 or bf16). Throws Error(data) with the place of a value that isn't finite.
void pack_weight(const HostTensor& weight, const dnnl_memory_desc_t& packed, Dtype dtype,
                 ThreadPool& threads, void* target);

}  // namespace gist::cpu
