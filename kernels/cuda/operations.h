// The CUDA operations, each in the file of its name. The tensors have been checked (checks.h) and
// are not empty; what they mean is said in kernels/backend.h. Each comment states the least work
// that the operation can do, from which a bound on its time follows: FLOPs over the device's rate,
// bytes over its memory bandwidth.
#pragma once

#include "kernels/backend.h"
#include "kernels/checks.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/matmul.h"

namespace gist::cuda {

/// How a backend multiplies matrices. Factors are f32 or of the products' dtype, sums f32.
struct MatmulContext {
  Device& device;
  Matmul& matmul;
  Dtype dtype;       // f32, or bf16: f32 factors are rounded first
  Scratch& rounded;  // where they then stand
};

/// 2 m n k FLOPs. Here and in the products below, a factor that must be rounded takes 6 bytes an
/// element besides.
void gemm(MatmulContext& context, const Tensor& x, const Tensor& w, const Tensor& bias,
          const Tensor& y);
/// 4 m d bytes written, as many read (fewer for tables in half precision).
void embedding(Device& device, const Tensor& table, const Tensor& ids, const Tensor& y);
/// 8 m d bytes.
void rms_norm(Device& device, const Tensor& x, const Tensor& weight, float eps, const Tensor& y);
/// 12 bytes an element.
void add(Device& device, const Tensor& a, const Tensor& b, const Tensor& y);
/// 8 bytes an element.
void activation(Device& device, Activation activation, const Tensor& x, const Tensor& y);
/// 12 bytes an element.
void gated_activation(Device& device, Activation activation, const Tensor& gate, const Tensor& up,
                      const Tensor& y);
void rotation(Device& device, const Tensor& positions, const Tensor& inv_freq, float scale,
              const Tensor& rotation);
/// 8 bytes an element.
void rotate(Device& device, const Tensor& x, const Tensor& rotation, RopePairs pairs,
            RotateDirection direction, const Tensor& y);
/// Twice the bytes of the rows.
void gather_rows(Device& device, const Tensor& x, const Tensor& rows, const Tensor& y);
void scatter_rows(Device& device, const Tensor& x, const Tensor& rows, const Tensor& y);
/// `dtype`: of the factors of products, but for rows with a single query, which are bound by bytes.
void attention(Device& device, Scratch& scratch, Dtype dtype, const Tensor& q, const Tensor& keys,
               const Tensor& values, const AttentionKeys& visible, const AttentionSpec& spec,
               const checks::AttentionSizes& sizes, const Tensor& y, const Tensor& log_sum_exp);
/// 2 m d vocabulary FLOPs; the logits of a chunk of rows are written and read twice.
void linear_cross_entropy(MatmulContext& context, Scratch& scratch, const Tensor& hidden,
                          const Tensor& head, const Tensor& bias, float scale, float soft_cap,
                          const Tensor& labels, const Tensor& loss, const Tensor& best);
/// 8 bytes an element.
void scale_and_cap(Device& device, const Tensor& x, float scale, float soft_cap);
/// Each pass reads a row's logits: one to find the largest, else about 70.
void sample(Device& device, const Tensor& logits, const SamplingOptions& options,
            const Tensor& uniform, const Tensor& ids);

/// 8 bytes an element.
void dropout(Device& device, const Tensor& x, const Dropout& dropout, const Tensor& y);
/// 2 m n k FLOPs, like both that follow.
void gemm_input_gradient(MatmulContext& context, const Tensor& dy, const Tensor& w, bool accumulate,
                         const Tensor& dx);
void gemm_weight_gradient(MatmulContext& context, Scratch& scratch, const Tensor& dy,
                          const Tensor& x, const Tensor& dw, const Tensor& dbias);
/// 4 m d bytes read, 8 bytes an element of the table that is touched.
void embedding_backward(Device& device, const Tensor& ids, const Tensor& dy, const Tensor& dtable);
/// 12 m d bytes.
void rms_norm_backward(Device& device, Scratch& products, Scratch& sums, const Tensor& x,
                       const Tensor& weight, float eps, const Tensor& dy, const Tensor& dx,
                       const Tensor& dweight);
/// 12 bytes an element.
void activation_backward(Device& device, Activation activation, const Tensor& x, const Tensor& dy,
                         const Tensor& dx);
/// 20 bytes an element.
void gated_activation_backward(Device& device, Activation activation, const Tensor& gate,
                               const Tensor& up, const Tensor& dy, const Tensor& dgate,
                               const Tensor& dup);
/// `dtype`: of the factors of products.
void attention_backward(Device& device, Scratch& scratch, Dtype dtype, const Tensor& q,
                        const Tensor& keys, const Tensor& values, const AttentionKeys& visible,
                        const AttentionSpec& spec, const checks::AttentionSizes& sizes,
                        const Tensor& y, const Tensor& log_sum_exp, const Tensor& dy,
                        const Tensor& dq, const Tensor& dkeys, const Tensor& dvalues,
                        const Tensor& dtable);
/// 6 m d vocabulary FLOPs.
void linear_cross_entropy_gradient(MatmulContext& context, Scratch& scratch, Scratch& sums,
                                   const Tensor& hidden, const Tensor& head, const Tensor& bias,
                                   const CrossEntropySpec& spec, const Tensor& labels,
                                   const Tensor& loss, const Tensor& dhidden, const Tensor& dhead,
                                   const Tensor& dbias);
/// 4 bytes an element.
void norm(Device& device, Scratch& scratch, const Tensor& x, const Tensor& y);
/// 28 bytes an element.
void adamw(Device& device, const AdamwOptions& options, const Tensor& gradient, const Tensor& norm,
           const Tensor& weight, const Tensor& first_moment, const Tensor& second_moment);

/// sum[columns] += the sum of x[rows, columns]'s rows, in an order that depends on the shape alone.
void add_rows(Device& device, Scratch& scratch, const float* x, std::int64_t rows,
              std::int64_t columns, float* sum);

}  // namespace gist::cuda
