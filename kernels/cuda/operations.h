// This file lists what the CUDA backend computes: a line for each operation, which stands in the
// file of its name. The operations have been checked; what they mean is said in kernels/ops. Each
// comment states the least work that the operation can do, from which a bound on its time follows:
// FLOPs over the device's rate, bytes over its memory bandwidth.
#pragma once

#include "kernels/cuda/device.h"
#include "kernels/cuda/matmul.h"
#include "kernels/operation.h"

namespace gist::cuda {

/// Operations are computed with a Context.
struct Context {
  Device& device;
  Matmul& matmul;
  Dtype dtype;       // of products' factors: f32, or bf16, to which f32 factors are rounded first
  Scratch& rounded;  // where they then stand
  Scratch& scratch;  // of one operation
  Scratch& sums;     // of add_rows (products.h)

  /// Each operation's first call. Names it in errors that the device finds; returns whether there
  /// is anything to compute.
  bool begin(const char* operation, const Tensor& result) const {
    device.begin(operation, result.shape);
    return result.shape.elements() > 0;
  }
};

/// 8 bytes an element.
void compute(const ops::Activation& op, Context& context);
/// 12 bytes an element.
void compute(const ops::ActivationBackward& op, Context& context);
/// 28 bytes an element.
void compute(const ops::Adamw& op, Context& context);
/// 12 bytes an element.
void compute(const ops::Add& op, Context& context);
/// Context::dtype is that of the factors of products, but for rows with a single query, which are
/// bound by bytes.
void compute(const ops::Attention& op, Context& context);
/// Context::dtype is that of the factors of products.
void compute(const ops::AttentionBackward& op, Context& context);
/// 4 n experts bytes; each expert reads the choices of all rows.
void compute(const ops::ChooseExperts& op, Context& context);
void compute(const ops::ChooseExpertsBackward& op, Context& context);
/// 8 bytes an element of the blocks.
void compute(const ops::Columns& op, Context& context);
/// 12 bytes an element of the blocks, besides 4 m w that are zeroed first.
void compute(const ops::ColumnsBackward& op, Context& context);
/// LinearCrossEntropyGradient's, and the teacher's product: 2 m v d FLOPs more.
void compute(const ops::DistillationGradient& op, Context& context);
/// 8 bytes an element.
void compute(const ops::Dropout& op, Context& context);
/// 4 m d bytes written, as many read (fewer for tables in half precision).
void compute(const ops::Embedding& op, Context& context);
/// 4 m d bytes read, 8 bytes an element of the table that is touched.
void compute(const ops::EmbeddingBackward& op, Context& context);
/// 2 m n k FLOPs, like both that follow, or the bytes of the weights of experts that have rows.
void compute(const ops::ExpertGemm& op, Context& context);
void compute(const ops::ExpertGemmInputGradient& op, Context& context);
void compute(const ops::ExpertGemmWeightGradient& op, Context& context);
/// 12 bytes an element.
void compute(const ops::GatedActivation& op, Context& context);
/// 20 bytes an element.
void compute(const ops::GatedActivationBackward& op, Context& context);
/// Twice the bytes of the rows.
void compute(const ops::GatherRows& op, Context& context);
/// 2 m n k FLOPs, like both that follow. A factor that must be rounded takes 6 bytes an element
/// besides.
void compute(const ops::Gemm& op, Context& context);
void compute(const ops::GemmInputGradient& op, Context& context);
void compute(const ops::GemmWeightGradient& op, Context& context);
/// 8 m d bytes.
void compute(const ops::LayerNorm& op, Context& context);
/// 12 m d bytes, and 8 m d for the weight's gradient.
void compute(const ops::LayerNormBackward& op, Context& context);
/// 2 m d vocabulary FLOPs; the logits of a chunk of rows are written and read twice.
void compute(const ops::LinearCrossEntropy& op, Context& context);
/// 6 m d vocabulary FLOPs.
void compute(const ops::LinearCrossEntropyGradient& op, Context& context);
/// 2 m d vocabulary FLOPs for each of the two models.
void compute(const ops::LinearDivergence& op, Context& context);
/// 2 m d vocabulary FLOPs; the logits of a chunk of rows are read k + 3 times.
void compute(const ops::LinearTopChoices& op, Context& context);
/// 4 (k + 1) n d bytes.
void compute(const ops::MixRows& op, Context& context);
/// 12 k n d bytes.
void compute(const ops::MixRowsBackward& op, Context& context);
/// 4 bytes an element.
void compute(const ops::Norm& op, Context& context);
/// 8 m d bytes.
void compute(const ops::RmsNorm& op, Context& context);
/// 12 m d bytes.
void compute(const ops::RmsNormBackward& op, Context& context);
/// 8 bytes an element.
void compute(const ops::Rotate& op, Context& context);
void compute(const ops::Rotation& op, Context& context);
/// Each pass reads a row's logits: one to find the largest, else about 70.
void compute(const ops::Sample& op, Context& context);
/// 8 bytes an element.
void compute(const ops::ScaleAndCap& op, Context& context);
void compute(const ops::ScatterRows& op, Context& context);
/// LinearCrossEntropyGradient's.
void compute(const ops::TopDistillation& op, Context& context);
void compute(const ops::Zero& op, Context& context);

}  // namespace gist::cuda
