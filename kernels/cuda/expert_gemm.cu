// Products of rows grouped by expert. Which rows are whose is known to the device alone, so that a
// launch can be recorded: the grid has tiles enough for any routing, and each finds its own. Factors
// that products round to bf16 are rounded as they are read; sums are f32.
#include <algorithm>
#include <vector>

#include "kernels/cuda/elementwise.h"
#include "kernels/cuda/fault.h"
#include "kernels/cuda/half.h"
#include "kernels/cuda/matrix.h"
#include "kernels/cuda/operations.h"

namespace gist::cuda {
namespace {

/// A block computes a tile [edge, edge] of a result, a thread an element of each of its quarters.
constexpr int edge = 32;
constexpr int half_edge = edge / 2;
constexpr int tile_threads = half_edge * half_edge;
/// A launch takes so many experts: their weights are parameters of its kernel.
constexpr int experts_a_launch = 128;

struct ExpertWeights {
  void* data[experts_a_launch];  // f32, or bf16 where the kernel says so
  int first, count;              // which experts these are
};

/// The rows of an expert, or of a tile of them.
struct RowRange {
  int expert, begin, end;  // none: begin == end
};

/// The `tile`-th of the experts' tiles of rows, which begin anew with each expert.
__device__ RowRange rows_of_tile(const std::int32_t* ends, int first, int count, int tile,
                                 const IndexCheck& check) {
  int begin = first == 0 ? 0 : ends[first - 1];
  for (int e = first; e < first + count; ++e) {
    const int end = ends[e];
    if (!check.passes(e, end) || end < begin) return {0, 0, 0};
    const int tiles = (end - begin + edge - 1) / edge;
    if (tile < tiles) return {e, begin + tile * edge, min(begin + (tile + 1) * edge, end)};
    tile -= tiles;
    begin = end;
  }
  return {0, 0, 0};
}

__device__ float rounded_where(bool round, float value) {
  return round ? to_f32(to_bf16(value)) : value;
}

/// sums = left[edge, depth] right[depth, edge]: elements of the four quarters. left(row, i) and
/// right(i, column) give zero beyond their sizes.
template <typename Left, typename Right>
__device__ void multiply_tile(int depth, const Left& left, const Right& right, float (&sums)[4]) {
  SharedMemory memory;
  const SharedArray<float> a = memory.take<float>(edge * edge), b = memory.take<float>(edge * edge);
  const int thread = static_cast<int>(threadIdx.x);
  const int row = thread / half_edge, column = thread % half_edge;
  for (int first = 0; first < depth; first += edge) {
    __syncthreads();
    for (int i = thread; i < edge * edge; i += tile_threads) {
      a[i] = left(i / edge, first + i % edge);
      b[i] = right(first + i / edge, i % edge);
    }
    __syncthreads();
    for (int i = 0; i < edge; ++i) {
      const float upper = a[row * edge + i], lower = a[(row + half_edge) * edge + i];
      const float near = b[i * edge + column], far = b[i * edge + column + half_edge];
      sums[0] += upper * near;
      sums[1] += upper * far;
      sums[2] += lower * near;
      sums[3] += lower * far;
    }
  }
}

/// Calls each(row, column, sum) for the thread's elements.
template <typename Each>
__device__ void for_sums(const float (&sums)[4], const Each& each) {
  const int row = static_cast<int>(threadIdx.x) / half_edge;
  const int column = static_cast<int>(threadIdx.x) % half_edge;
  for (int i = 0; i < 4; ++i) {
    each(row + i / 2 * half_edge, column + i % 2 * half_edge, sums[i]);
  }
}

/// y[rows, columns] = x[rows, depth] w, with w [depth, columns], or as [columns, depth] its transpose.
/// blockIdx.x: the tile of columns, blockIdx.y: that of rows.
template <typename W, bool w_transposed>
__global__ void product_kernel(const float* x, const std::int32_t* ends, ExpertWeights w,
                               int columns, int depth, bool round, bool accumulate,
                               IndexCheck check, float* y) {
  const RowRange rows = rows_of_tile(ends, w.first, w.count, static_cast<int>(blockIdx.y), check);
  if (rows.begin == rows.end) return;
  const auto* weight = static_cast<const W*>(w.data[rows.expert - w.first]);
  const int first_column = static_cast<int>(blockIdx.x) * edge;
  float sums[4] = {};
  multiply_tile(
      depth,
      [&](int row, int i) {
        if (rows.begin + row >= rows.end || i >= depth) return 0.0F;
        return rounded_where(round, x[std::int64_t{rows.begin + row} * depth + i]);
      },
      [&](int i, int column) {
        const int c = first_column + column;
        if (c >= columns || i >= depth) return 0.0F;
        const std::int64_t at =
            w_transposed ? std::int64_t{c} * depth + i : std::int64_t{i} * columns + c;
        return rounded_where(round, to_f32(weight[at]));
      },
      sums);
  for_sums(sums, [&](int row, int column, float sum) {
    if (rows.begin + row >= rows.end || first_column + column >= columns) return;
    float& target = y[std::int64_t{rows.begin + row} * columns + first_column + column];
    target = accumulate ? target + sum : sum;
  });
}

/// dw[n, k] += dy[r, n]^T x[r, k] of an expert's rows. blockIdx.x: the tile of k, blockIdx.y: that of
/// n, blockIdx.z: the expert.
__global__ void weight_gradient_kernel(const float* dy, const float* x, const std::int32_t* ends,
                                       ExpertWeights dw, int n, int k, bool round,
                                       IndexCheck check) {
  const int expert = dw.first + static_cast<int>(blockIdx.z);
  const int begin = expert == 0 ? 0 : ends[expert - 1], end = ends[expert];
  if (!check.passes(expert, end) || begin < 0 || begin >= end) return;
  const int first_row = static_cast<int>(blockIdx.y) * edge;
  const int first_column = static_cast<int>(blockIdx.x) * edge;
  float sums[4] = {};
  multiply_tile(
      end - begin,
      [&](int row, int i) {
        if (first_row + row >= n || begin + i >= end) return 0.0F;
        return rounded_where(round, dy[std::int64_t{begin + i} * n + first_row + row]);
      },
      [&](int i, int column) {
        if (first_column + column >= k || begin + i >= end) return 0.0F;
        return rounded_where(round, x[std::int64_t{begin + i} * k + first_column + column]);
      },
      sums);
  auto* target = static_cast<float*>(dw.data[blockIdx.z]);
  for_sums(sums, [&](int row, int column, float sum) {
    if (first_row + row >= n || first_column + column >= k) return;
    target[std::int64_t{first_row + row} * k + first_column + column] += sum;
  });
}

unsigned tiles_of(std::int64_t size) {
  return static_cast<unsigned>((size + edge - 1) / edge);
}

constexpr std::size_t tile_bytes = 2 * shared_bytes<float>(edge * edge);

/// Calls each(weights) for as many experts at a time as a launch takes.
template <typename Each>
void for_launches(const std::vector<Tensor>& weights, const Each& each) {
  const int experts = static_cast<int>(weights.size());
  for (int first = 0; first < experts; first += experts_a_launch) {
    ExpertWeights some{{}, first, std::min(experts_a_launch, experts - first)};
    for (int i = 0; i < some.count; ++i) {
      some.data[i] = weights[static_cast<std::size_t>(first + i)].data;
    }
    each(some);
  }
}

struct ExpertProduct {
  Tensor x, ends, y;
  bool accumulate = false;
  const char* check = nullptr;
};

template <typename W, bool w_transposed>
void multiply_experts(Context& context, const ExpertProduct& op,
                      const std::vector<Tensor>& weights) {
  const std::int64_t m = op.x.shape[0], columns = op.y.shape[1], depth = op.x.shape[1];
  for_launches(weights, [&](const ExpertWeights& some) {
    // An expert more can leave one more tile partly filled.
    const auto rows = tiles_of(m) + static_cast<unsigned>(std::min<std::int64_t>(some.count, m));
    launch(context.device, {dim3(tiles_of(columns), rows), dim3(tile_threads), tile_bytes},
           product_kernel<W, w_transposed>, data_of<const float>(op.x),
           data_of<const std::int32_t>(op.ends), some, static_cast<int>(columns),
           static_cast<int>(depth), context.dtype == Dtype::bf16, op.accumulate,
           IndexCheck(context.device, op.check, m + 1), data_of<float>(op.y));
  });
}

}  // namespace

void compute(const ops::ExpertGemm& op, Context& context) {
  if (!context.begin(op.name, op.y)) return;
  std::vector<Tensor> weights;
  for (const Matrix* each : op.w) weights.push_back(weight_of(*each));
  const ExpertProduct product{op.x, op.ends, op.y, false, "expert_gemm: expected ends"};
  if (weights[0].dtype == Dtype::bf16) {
    multiply_experts<Bf16, true>(context, product, weights);
  } else {
    multiply_experts<float, true>(context, product, weights);
  }
}

void compute(const ops::ExpertGemmInputGradient& op, Context& context) {
  if (!context.begin(op.name, op.dx)) return;
  const ExpertProduct product{op.dy, op.ends, op.dx, op.accumulate,
                              "expert_gemm_input_gradient: expected ends"};
  const std::vector<Tensor> weights(op.w.begin(), op.w.end());
  if (weights[0].dtype == Dtype::bf16) {
    multiply_experts<Bf16, false>(context, product, weights);
  } else {
    multiply_experts<float, false>(context, product, weights);
  }
}

void compute(const ops::ExpertGemmWeightGradient& op, Context& context) {
  if (!context.begin(op.name, op.dw[0]) || op.sizes().m == 0) return;
  const ops::GemmSizes sizes = op.sizes();
  for_launches({op.dw.begin(), op.dw.end()}, [&](const ExpertWeights& some) {
    launch(context.device,
           {dim3(tiles_of(sizes.k), tiles_of(sizes.n), static_cast<unsigned>(some.count)),
            dim3(tile_threads), tile_bytes},
           weight_gradient_kernel, data_of<const float>(op.dy), data_of<const float>(op.x),
           data_of<const std::int32_t>(op.ends), some, static_cast<int>(sizes.n),
           static_cast<int>(sizes.k), context.dtype == Dtype::bf16,
           IndexCheck(context.device, "expert_gemm_weight_gradient: expected ends", sizes.m + 1));
  });
}

}  // namespace gist::cuda
