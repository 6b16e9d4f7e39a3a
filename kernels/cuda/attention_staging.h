// Attention's operands as tensor cores read them: rounded to bf16 once a call, with rows of a
// compiled width that zeros fill up, and the listed keys and values in the order of the list. Tiles
// are then copied 16 bytes at a time whatever the dims of a head and the slots.
//
// 4 dim bytes read and 2 width bytes written a row.
#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>

#include "kernels/cuda/attention_inputs.h"
#include "kernels/cuda/attention_plan.h"
#include "kernels/cuda/bf16_four.h"
#include "kernels/cuda/half.h"

namespace gist::cuda {

struct StagedInputs {
  const Bf16* q;       // [queries, heads, width]
  const Bf16* keys;    // [list, kv_heads, width]; nothing stands there for rows without tiles
  const Bf16* values;  // [list, kv_heads, width]
};

/// to[rows, width] = from[rows, dim]. `fours`: rows of it can be read four elements at a time.
static __global__ void stage_rows_kernel(const float* from, std::int64_t rows, int dim, bool fours,
                                         int width, Bf16* to) {
  const int across = width / 4;
  for (std::int64_t i = first_element(); i < rows * across; i += element_step()) {
    const float* row = from + i / across * dim;
    const int at = 4 * static_cast<int>(i % across);
    reinterpret_cast<Bf16Four*>(to)[i] = to_bf16(load_four(row, at, dim, fours));
  }
}

/// Zeros for entries whose slot there is not: the kernels that read the tiles report them. Rows
/// that share keys write the same.
static __global__ void stage_keys_kernel(AttentionInputs in, AttentionPlan plan, int width,
                                         Bf16* keys, Bf16* values) {
  const int across = width / 4;
  for (int r = static_cast<int>(blockIdx.y); r < in.rows; r += static_cast<int>(gridDim.y)) {
    const AttentionRow row = plan.rows[r];
    if (plan.first_split[r] >= 0 || row.query_begin == row.query_end) continue;
    const std::int64_t begin = std::int64_t{row.key_begin} * in.kv_heads * across;
    const std::int64_t end = std::int64_t{row.key_end} * in.kv_heads * across;
    for (std::int64_t i = begin + first_element(); i < end; i += element_step()) {
      const int at = 4 * static_cast<int>(i % across);
      const int kv_head = static_cast<int>(i / across % in.kv_heads);
      const int j = static_cast<int>(i / across / in.kv_heads);
      float4 key = make_float4(0, 0, 0, 0), value = key;
      if (in.listed(j)) {
        key = load_four(in.key(j, kv_head), at, in.key_dim, in.key_fours);
        value = load_four(in.value(j, kv_head), at, in.value_dim, in.value_fours);
      }
      reinterpret_cast<Bf16Four*>(keys)[i] = to_bf16(key);
      reinterpret_cast<Bf16Four*>(values)[i] = to_bf16(value);
    }
  }
}

/// Rows [rows, width] of a call's scratch memory.
class StagedRows {
 public:
  StagedRows(std::int64_t rows, int width, ScratchPieces& pieces)
      : rows_(rows), width_(width), piece_(pieces.add<Bf16>(rows * width)) {}

  Bf16* in(std::byte* memory) const { return piece_.in(memory); }
  /// Queues what fills them.
  const Bf16* make(Device& device, const float* from, int dim, bool fours,
                   std::byte* memory) const {
    launch(device, elementwise_grid(device, rows_ * width_ / 4), stage_rows_kernel, from, rows_,
           dim, fours, width_, in(memory));
    return in(memory);
  }

 private:
  std::int64_t rows_;
  int width_;
  ScratchPiece<Bf16> piece_;
};

/// StagingMemory is what staged inputs need of a call's scratch memory.
class StagingMemory {
 public:
  StagingMemory(const AttentionInputs& in, int width, ScratchPieces& pieces)
      : width_(width),
        q_(std::int64_t{in.queries} * in.heads, width, pieces),
        keys_(in.list * in.kv_heads, width, pieces),
        values_(in.list * in.kv_heads, width, pieces) {}

  /// Queues what fills them.
  StagedInputs make(Device& device, const AttentionInputs& in, const AttentionPlan& plan,
                    std::byte* memory) const {
    const StagedInputs staged{q_.make(device, in.q, in.key_dim, in.key_fours, memory),
                              keys_.in(memory), values_.in(memory)};
    const int rows = std::clamp(in.rows, 1, 65535);
    Grid grid = elementwise_grid(device, in.list * in.kv_heads * (width_ / 4) / rows);
    grid.blocks.y = static_cast<unsigned>(rows);
    launch(device, grid, stage_keys_kernel, in, plan, width_, keys_.in(memory), values_.in(memory));
    return staged;
  }

 private:
  int width_;
  StagedRows q_, keys_, values_;
};

}  // namespace gist::cuda
