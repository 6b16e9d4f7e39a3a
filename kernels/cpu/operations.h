// The CPU's operations, each in the file of its name. The tensors have been checked (checks.h);
// what they mean is said in backend.h.
#pragma once

#include "kernels/backend.h"
#include "kernels/cpu/memory.h"

namespace gist::cpu {

class Gemm;
class ThreadPool;

void embedding(const Tensor& table, const Tensor& ids, const Tensor& y, ThreadPool& threads);
void rms_norm(const Tensor& x, const Tensor& weight, float eps, const Tensor& y,
              ThreadPool& threads);
void add(const Tensor& a, const Tensor& b, const Tensor& y, ThreadPool& threads);
void activation(Activation activation, const Tensor& x, const Tensor& y, ThreadPool& threads);
void gated_activation(Activation activation, const Tensor& gate, const Tensor& up, const Tensor& y,
                      ThreadPool& threads);
void rotation(const Tensor& positions, const Tensor& inv_freq, float scale, const Tensor& rotation,
              ThreadPool& threads);
void rotate(const Tensor& x, const Tensor& rotation, RopePairs pairs, RotateDirection direction,
            const Tensor& y, ThreadPool& threads);
void gather_rows(const Tensor& x, const Tensor& rows, const Tensor& y, ThreadPool& threads);
void scatter_rows(const Tensor& x, const Tensor& rows, const Tensor& y, ThreadPool& threads);
void linear_cross_entropy(const Tensor& hidden, const Matrix& head, const Tensor& bias, float scale,
                          float soft_cap, const Tensor& labels, const Tensor& loss,
                          const Tensor& best, ThreadPool& threads, Gemm& gemm, Scratch& scratch);
void scale_and_cap(const Tensor& x, float scale, float soft_cap, ThreadPool& threads);
void sample(const Tensor& logits, const SamplingOptions& options, const Tensor& uniform,
            const Tensor& ids, ThreadPool& threads, Scratch& scratch);

void dropout(const Tensor& x, const Dropout& dropout, const Tensor& y, ThreadPool& threads);
void gemm_weight_gradient(const Tensor& dy, const Tensor& x, const Tensor& dw, const Tensor& dbias,
                          ThreadPool& threads, Gemm& gemm);
void embedding_backward(const Tensor& ids, const Tensor& dy, const Tensor& dtable,
                        ThreadPool& threads);
void rms_norm_backward(const Tensor& x, const Tensor& weight, float eps, const Tensor& dy,
                       const Tensor& dx, const Tensor& dweight, ThreadPool& threads,
                       Scratch& scratch);
void activation_backward(Activation activation, const Tensor& x, const Tensor& dy, const Tensor& dx,
                         ThreadPool& threads);
void gated_activation_backward(Activation activation, const Tensor& gate, const Tensor& up,
                               const Tensor& dy, const Tensor& dgate, const Tensor& dup,
                               ThreadPool& threads);
void linear_cross_entropy_gradient(const Tensor& hidden, const Tensor& head, const Tensor& bias,
                                   const CrossEntropySpec& spec, const Tensor& labels,
                                   const Tensor& loss, const Tensor& dhidden, const Tensor& dhead,
                                   const Tensor& dbias, ThreadPool& threads, Gemm& gemm,
                                   Scratch& scratch);
void norm(const Tensor& x, const Tensor& y, ThreadPool& threads, Scratch& scratch);
void adamw(const AdamwOptions& options, const Tensor& gradient, const Tensor& norm,
           const Tensor& weight, const Tensor& first_moment, const Tensor& second_moment,
           ThreadPool& threads);

/// Throws Error(internal) unless each of `indices` (i32) lies within [0, limit).
void require_within(std::string_view op, std::string_view name, const Tensor& indices,
                    std::int64_t limit);

}  // namespace gist::cpu
