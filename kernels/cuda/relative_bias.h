// T5's relative position bias (kernels/ops/attention.h) as attention reads it: by distance. The
// biases of all pairs never exist.
#pragma once

#include <cuda_runtime.h>

#include <cmath>
#include <cstdint>

#include "kernels/cuda/elementwise.h"
#include "kernels/cuda/fault.h"
#include "kernels/cuda/scratch_pieces.h"

namespace gist::cuda {

/// Which bucket a distance falls into.
struct BiasBuckets {
  BiasBuckets() = default;
  explicit BiasBuckets(const RelativeBias& bias)
      : count(static_cast<int>(bias.table.shape[0])),
        max_distance(bias.max_distance),
        bidirectional(bias.bidirectional) {
    const int exact = count / (bidirectional ? 2 : 1) / 2;
    scale = static_cast<float>(std::log(static_cast<double>(max_distance) / exact));
  }

  /// For distance = key - query. In f32, as PyTorch computes it. The logarithm is rounded from
  /// double precision, because f32's own differ by a unit between devices, which could move a
  /// distance to the next bucket.
  __device__ int of(int distance) const {
    int first = 0, buckets = count, far = max(-distance, 0);
    if (bidirectional) {
      buckets /= 2;
      if (distance > 0) first = buckets;
      far = distance < 0 ? -distance : distance;
    }
    const int exact = buckets / 2;
    if (far < exact) return first + far;
    const float ratio = static_cast<float>(far) / static_cast<float>(exact);
    const float part = static_cast<float>(log(static_cast<double>(ratio))) / scale *
                       static_cast<float>(buckets - exact);
    return first + min(exact + static_cast<int>(part), buckets - 1);
  }

  int count = 0;
  int max_distance = 0;
  bool bidirectional = false;
  float scale = 1;  // log(max_distance / exact)
};

/// Distances beyond max_distance are in the same bucket as it: a table has 2 max_distance + 1.
struct BiasByDistance {
  const float* bias = nullptr;                    // [heads, distances]; null: no bias
  const int* bucket = nullptr;                    // [distances]
  const std::int32_t* query_positions = nullptr;  // [queries]
  const std::int32_t* key_positions = nullptr;    // [list]
  int max_distance = 0;

  __host__ __device__ int distances() const { return 2 * max_distance + 1; }
  /// Where the distance between two positions stands.
  __device__ int place(int key_position, int query_position) const {
    return min(max(key_position - query_position, -max_distance), max_distance) + max_distance;
  }
};

static __global__ void fill_bias_by_distance(const float* table, BiasBuckets buckets, int heads,
                                             float* bias, int* bucket) {
  const int distances = 2 * buckets.max_distance + 1;
  const std::int64_t n = static_cast<std::int64_t>(heads) * distances;
  for (std::int64_t i = first_element(); i < n; i += element_step()) {
    const int place = static_cast<int>(i % distances);
    const int of = buckets.of(place - buckets.max_distance);
    bias[i] = table[of * heads + static_cast<int>(i / distances)];
    if (i < distances) bucket[place] = of;
  }
}

/// Differences of positions must not overflow.
static __global__ void check_positions(const std::int32_t* positions, std::int64_t n,
                                       IndexCheck size) {
  for (std::int64_t i = first_element(); i < n; i += element_step()) {
    const std::int32_t position = positions[i];
    const int of = position < 0 ? -max(position, -INT32_MAX) : position;
    size.passes(static_cast<int>(i), of);
  }
}

/// BiasMemory is what a bias needs of a call's scratch memory.
class BiasMemory {
 public:
  BiasMemory(const RelativeBias& bias, std::int64_t heads, ScratchPieces& pieces) {
    if (bias.table.data == nullptr) return;
    const std::int64_t distances = 2 * std::int64_t{bias.max_distance} + 1;
    bias_ = pieces.add<float>(heads * distances);
    bucket_ = pieces.add<int>(distances);
  }

  /// Queues what fills it. Nothing, where there is no bias.
  BiasByDistance make(Device& device, const RelativeBias& bias, int heads,
                      std::byte* memory) const {
    if (bias.table.data == nullptr) return {};
    const BiasByDistance made{bias_.in(memory), bucket_.in(memory),
                              data_of<const std::int32_t>(bias.query_positions),
                              data_of<const std::int32_t>(bias.key_positions), bias.max_distance};
    check(device, bias.query_positions, "attention: expected sizes of query_positions");
    check(device, bias.key_positions, "attention: expected sizes of key_positions");
    const std::int64_t n = std::int64_t{heads} * made.distances();
    launch(device, elementwise_grid(device, n), fill_bias_by_distance,
           data_of<const float>(bias.table), BiasBuckets(bias), heads, bias_.in(memory),
           bucket_.in(memory));
    return made;
  }

 private:
  static void check(Device& device, const Tensor& positions, const char* what) {
    const std::int64_t n = positions.shape.elements();
    launch(device, elementwise_grid(device, n), check_positions,
           data_of<const std::int32_t>(positions), n, IndexCheck(device, what, 1 << 30));
  }

  ScratchPiece<float> bias_;
  ScratchPiece<int> bucket_;
};

}  // namespace gist::cuda
