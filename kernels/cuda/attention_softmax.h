// The softmax of attention's tiles: its maxima and sums so far.
#pragma once

#include <cuda_runtime.h>

#include "kernels/cuda/attention_products.h"

namespace gist::cuda {

/// The running softmax of a thread's rows. `sum` is over the thread's own keys.
template <int R>
struct Softmax {
  float maximum[R];
  float sum[R];

  __device__ Softmax() {
    for (int i = 0; i < R; ++i) {
      maximum[i] = -INFINITY;
      sum[i] = 0;
    }
  }
};

/// Scores become weights exp(score - maximum). factors[i]: what the sums so far are multiplied
/// with. A row is spread over `lanes` threads.
template <int lanes, int R, int C, typename Exp>
__device__ void exponentiate(float (&scores)[R][C], Softmax<R>& softmax, float (&factors)[R],
                             Exp exp) {
  for (int i = 0; i < R; ++i) {
    float maximum = scores[i][0];
    for (int j = 1; j < C; ++j) maximum = fmaxf(maximum, scores[i][j]);
    maximum = fmaxf(softmax.maximum[i], reduce_row<Max, lanes>(maximum));
    // -infinity, where nothing was seen yet, can't be subtracted from itself
    const float reference = maximum == -INFINITY ? 0 : maximum;
    factors[i] = exp(softmax.maximum[i] - reference);
    softmax.maximum[i] = maximum;
    softmax.sum[i] *= factors[i];
    for (int j = 0; j < C; ++j) {
      scores[i][j] = exp(scores[i][j] - reference);
      softmax.sum[i] += scores[i][j];
    }
  }
}

/// SoftmaxEnd holds what a row's sums are multiplied with at last, and the logarithm of its
/// denominator.
struct SoftmaxEnd {
  float factor, log_sum_exp;
};
template <int lanes, int R>
__device__ SoftmaxEnd end_of(const Softmax<R>& softmax, int i) {
  const float sum = reduce_row<Sum, lanes>(softmax.sum[i]);
  if (sum <= 0) return {0, -INFINITY};
  return {1 / sum, softmax.maximum[i] + logf(sum)};
}

}  // namespace gist::cuda
