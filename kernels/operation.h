// The list of all operations: what a backend computes, and a new one's only entry here. Each is a
// struct of kernels/ops, beside which stand
//   name        as messages and costs have it
//   check(op)   throws Error(internal) for shapes, dtypes or options that don't fit, naming the
//               operation and what was found
//   cost(op)    what one call of it costs
// Unless a comment says otherwise, tensors are f32, dense and row-major, and an output may be the
// same tensor as an input of the same shape but may not overlap it otherwise; those of matrix
// products may not at all. Of an operation backwards, `dx` is the gradient of the loss by x:
// gradients of weights are added to what their tensor holds; those of other inputs overwrite it,
// unless said otherwise.
#pragma once

#include <variant>

#include "kernels/ops/activation.h"
#include "kernels/ops/adamw.h"
#include "kernels/ops/add.h"
#include "kernels/ops/attention.h"
#include "kernels/ops/choose_experts.h"
#include "kernels/ops/columns.h"
#include "kernels/ops/cross_entropy.h"
#include "kernels/ops/divergence.h"
#include "kernels/ops/dropout.h"
#include "kernels/ops/embedding.h"
#include "kernels/ops/expert_gemm.h"
#include "kernels/ops/gated_activation.h"
#include "kernels/ops/gemm.h"
#include "kernels/ops/layer_norm.h"
#include "kernels/ops/mix_rows.h"
#include "kernels/ops/norm.h"
#include "kernels/ops/rms_norm.h"
#include "kernels/ops/rotate.h"
#include "kernels/ops/rows.h"
#include "kernels/ops/sample.h"
#include "kernels/ops/scale_and_cap.h"
#include "kernels/ops/top_choices.h"
#include "kernels/ops/zero.h"

namespace gist {

template <typename... Ops>
using OneOf = std::variant<const Ops*...>;

/// A call of any operation, where its caller keeps it.
using Operation =
    OneOf<ops::Activation, ops::ActivationBackward, ops::Adamw, ops::Add, ops::Attention,
          ops::AttentionBackward, ops::ChooseExperts, ops::ChooseExpertsBackward, ops::Columns,
          ops::ColumnsBackward, ops::DistillationGradient, ops::Dropout, ops::Embedding,
          ops::EmbeddingBackward, ops::ExpertGemm, ops::ExpertGemmInputGradient,
          ops::ExpertGemmWeightGradient, ops::GatedActivation, ops::GatedActivationBackward,
          ops::GatherRows, ops::Gemm, ops::GemmInputGradient, ops::GemmWeightGradient,
          ops::LayerNorm, ops::LayerNormBackward, ops::LinearCrossEntropy,
          ops::LinearCrossEntropyGradient, ops::LinearDivergence, ops::LinearTopChoices,
          ops::MixRows, ops::MixRowsBackward, ops::Norm, ops::RmsNorm, ops::RmsNormBackward,
          ops::Rotate, ops::Rotation, ops::Sample, ops::ScaleAndCap, ops::ScatterRows,
          ops::TopDistillation, ops::Zero>;

}  // namespace gist
