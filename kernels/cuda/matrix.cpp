#include "kernels/cuda/matrix.h"

#include "kernels/error.h"

namespace gist::cuda {

const Tensor& weight_of(const Matrix& matrix) {
  const auto* own = dynamic_cast<const CudaMatrix*>(&matrix);
  if (own == nullptr) {
    fail(ErrorKind::internal, "gemm: the weight [{}, {}] was packed by another backend", matrix.n(),
         matrix.k());
  }
  return own->weight();
}

}  // namespace gist::cuda
