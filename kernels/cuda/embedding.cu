#include "kernels/cuda/elementwise.h"
#include "kernels/cuda/fault.h"
#include "kernels/cuda/half.h"
#include "kernels/cuda/operations.h"
#include "kernels/cuda/reduce.h"

namespace gist::cuda {
namespace {

/// A block a row; rows whose id is wrong are left alone.
template <typename Element>
__global__ void embedding_kernel(const Element* table, const std::int32_t* ids, std::int64_t d,
                                 IndexCheck check, float* y) {
  const int row = static_cast<int>(blockIdx.x);
  if (!check.passes(row, ids[row])) return;
  const Element* from = table + ids[row] * d;
  float* to = y + row * d;
  for (std::int64_t i = threadIdx.x; i < d; i += blockDim.x) to[i] = to_f32(from[i]);
}

/// A block a row of dy. The first block of those with one id adds up all of its rows, in their
/// order; the others do nothing. Nothing is added anywhere if any id is wrong.
__global__ void embedding_backward_kernel(const std::int32_t* ids, const float* dy, int m,
                                          std::int64_t d, IndexCheck check, float* dtable) {
  SharedMemory memory;
  const SharedArray<int> parts = memory.take<int>(warp_size);
  const int row = static_cast<int>(blockIdx.x);
  const int id = ids[row];
  int bad = 0;
  int earlier = 0;
  for (int i = static_cast<int>(threadIdx.x); i < m; i += static_cast<int>(blockDim.x)) {
    if (!check.passes(i, ids[i])) bad = 1;
    if (i < row && ids[i] == id) earlier = 1;
  }
  if (reduce_block<Max>(bad, parts) != 0 || reduce_block<Max>(earlier, parts) != 0) return;
  float* to = dtable + id * d;
  for (std::int64_t column = threadIdx.x; column < d; column += blockDim.x) {
    float sum = to[column];
    for (int i = row; i < m; ++i) {
      if (ids[i] == id) sum += dy[i * d + column];
    }
    to[column] = sum;
  }
}

}  // namespace

void compute(const ops::Embedding& op, Context& context) {
  if (!context.begin(op.name, op.y)) return;
  const std::int64_t d = op.table.shape[1];
  const Grid grid{dim3(static_cast<unsigned>(op.ids.shape[0])), dim3(elementwise_threads)};
  const IndexCheck check(context.device, "embedding: expected ids", op.table.shape[0]);
  const auto look_up = [&]<typename Element>(const Element* rows) {
    launch(context.device, grid, embedding_kernel<Element>, rows,
           data_of<const std::int32_t>(op.ids), d, check, data_of<float>(op.y));
  };
  if (op.table.dtype == Dtype::f32) look_up(data_of<const float>(op.table));
  if (op.table.dtype == Dtype::bf16) look_up(data_of<const Bf16>(op.table));
  if (op.table.dtype == Dtype::f16) look_up(data_of<const F16>(op.table));
}

void compute(const ops::EmbeddingBackward& op, Context& context) {
  if (!context.begin(op.name, op.dy)) return;
  const Grid grid{dim3(static_cast<unsigned>(op.ids.shape[0])), dim3(elementwise_threads),
                  shared_bytes<int>(warp_size)};
  launch(context.device, grid, embedding_backward_kernel, data_of<const std::int32_t>(op.ids),
         data_of<const float>(op.dy), static_cast<int>(op.ids.shape[0]), op.dtable.shape[1],
         IndexCheck(context.device, "embedding_backward: expected ids", op.dtable.shape[0]),
         data_of<float>(op.dtable));
}

}  // namespace gist::cuda
