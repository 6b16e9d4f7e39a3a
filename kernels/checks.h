// What the tensors of an operation must look like, on every backend. Each function throws
// Error(internal) that names the operation, what it expects, and the tensors it got.
#pragma once

#include "kernels/backend.h"
#include "kernels/tensor.h"

namespace gist::checks {

/// The sizes that an operation's tensors agree on.
struct GemmSizes {
  std::int64_t m = 0, n = 0, k = 0;
};
struct AttentionSizes {
  std::int64_t queries = 0, heads = 0, kv_heads = 0, key_dim = 0, value_dim = 0;
  std::int64_t slots = 0, rows = 0, list = 0;
};

void copy(const Tensor& source, const Tensor& target);
void pack(const HostTensor& weight);
GemmSizes gemm(const Tensor& x, const Matrix& w, const Tensor& bias, const Tensor& y);
void embedding(const Tensor& table, const Tensor& ids, const Tensor& y);
void rms_norm(const Tensor& x, const Tensor& weight, float eps, const Tensor& y);
void add(const Tensor& a, const Tensor& b, const Tensor& y);
void activation(const Tensor& x, const Tensor& y);
void gated_activation(const Tensor& gate, const Tensor& up, const Tensor& y);
void rotation(const Tensor& positions, const Tensor& inv_freq, float scale, const Tensor& rotation);
void rotate(const Tensor& x, const Tensor& rotation, const Tensor& y);
void gather_rows(const Tensor& x, const Tensor& rows, const Tensor& y);
void scatter_rows(const Tensor& x, const Tensor& rows, const Tensor& y);
AttentionSizes attention(const Tensor& q, const Tensor& keys, const Tensor& values,
                         const AttentionKeys& visible, const AttentionSpec& spec, const Tensor& y,
                         const Tensor& log_sum_exp);
GemmSizes linear_cross_entropy(const Tensor& hidden, const Matrix& head, const Tensor& bias,
                               float scale, float soft_cap, const Tensor& labels,
                               const Tensor& loss, const Tensor& best);
void scale_and_cap(const Tensor& x, float scale, float soft_cap);
void sample(const Tensor& logits, const SamplingOptions& options, const Tensor& uniform,
            const Tensor& ids);
void plain(const Tensor& weight);
void zero(const Tensor& x);
void dropout(const Tensor& x, const Dropout& dropout, const Tensor& y);
GemmSizes gemm_input_gradient(const Tensor& dy, const Tensor& w, const Tensor& dx);
GemmSizes gemm_weight_gradient(const Tensor& dy, const Tensor& x, const Tensor& dw,
                               const Tensor& dbias);
void embedding_backward(const Tensor& ids, const Tensor& dy, const Tensor& dtable);
void rms_norm_backward(const Tensor& x, const Tensor& weight, float eps, const Tensor& dy,
                       const Tensor& dx, const Tensor& dweight);
void activation_backward(const Tensor& x, const Tensor& dy, const Tensor& dx);
void gated_activation_backward(const Tensor& gate, const Tensor& up, const Tensor& dy,
                               const Tensor& dgate, const Tensor& dup);
AttentionSizes attention_backward(const Tensor& q, const Tensor& keys, const Tensor& values,
                                  const AttentionKeys& visible, const AttentionSpec& spec,
                                  const Tensor& y, const Tensor& log_sum_exp, const Tensor& dy,
                                  const Tensor& dq, const Tensor& dkeys, const Tensor& dvalues,
                                  const Tensor& dtable);
GemmSizes linear_cross_entropy_gradient(const Tensor& hidden, const Tensor& head,
                                        const Tensor& bias, const CrossEntropySpec& spec,
                                        const Tensor& labels, const Tensor& loss,
                                        const Tensor& dhidden, const Tensor& dhead,
                                        const Tensor& dbias);
void norm(const Tensor& x, const Tensor& y);
void adamw(const AdamwOptions& options, const Tensor& gradient, const Tensor& norm,
           const Tensor& weight, const Tensor& first_moment, const Tensor& second_moment);

}  // namespace gist::checks
