// The CPU's operations, each in the file of its name. The tensors have been checked (checks.h);
// what they mean is said in backend.h. `threads` is the number of threads to use.
#pragma once

#include "kernels/backend.h"
#include "kernels/cpu/memory.h"

namespace gist::cpu {

class Gemm;

void embedding(const Tensor& table, const Tensor& ids, const Tensor& y, int threads);
void rms_norm(const Tensor& x, const Tensor& weight, float eps, const Tensor& y, int threads);
void add(const Tensor& a, const Tensor& b, const Tensor& y, int threads);
void gated_activation(Activation activation, const Tensor& gate, const Tensor& up, const Tensor& y,
                      int threads);
void rotate(const Tensor& x, const Tensor& positions, const Rope& rope, const Tensor& y,
            int threads, Scratch& scratch);
void gather_rows(const Tensor& x, const Tensor& rows, const Tensor& y, int threads);
void scatter_rows(const Tensor& x, const Tensor& rows, const Tensor& y, int threads);
void linear_cross_entropy(const Tensor& hidden, const Matrix& head, const Tensor& bias, float scale,
                          float soft_cap, const Tensor& labels, const Tensor& loss,
                          const Tensor& best, int threads, Gemm& gemm, Scratch& scratch);
void scale_and_cap(const Tensor& x, float scale, float soft_cap, int threads);
void sample(const Tensor& logits, const SamplingOptions& options, const Tensor& uniform,
            const Tensor& ids, int threads, Scratch& scratch);

/// Throws Error(internal) unless each of `indices` (i32) lies within [0, limit).
void require_within(std::string_view op, std::string_view name, const Tensor& indices,
                    std::int64_t limit);

}  // namespace gist::cpu
