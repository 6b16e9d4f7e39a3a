// This file lists what the CPU computes: a line for each operation, which stands in the file of its
// name. The operations have been checked; what they mean is said in kernels/ops.
#pragma once

#include <string_view>

#include "kernels/cpu/memory.h"
#include "kernels/operation.h"

namespace gist::cpu {

class Attention;
class AttentionBackward;
class Gemm;
class ThreadPool;

/// Operations are computed with a Context.
struct Context {
  ThreadPool& threads;
  Gemm& gemm;
  Attention& attention;
  AttentionBackward& attention_backward;
  Scratch& scratch;
};

void compute(const ops::Activation& op, Context& context);
void compute(const ops::ActivationBackward& op, Context& context);
void compute(const ops::Adamw& op, Context& context);
void compute(const ops::Add& op, Context& context);
void compute(const ops::Attention& op, Context& context);
void compute(const ops::AttentionBackward& op, Context& context);
void compute(const ops::ChooseExperts& op, Context& context);
void compute(const ops::ChooseExpertsBackward& op, Context& context);
void compute(const ops::Columns& op, Context& context);
void compute(const ops::ColumnsBackward& op, Context& context);
void compute(const ops::DistillationGradient& op, Context& context);
void compute(const ops::Dropout& op, Context& context);
void compute(const ops::Embedding& op, Context& context);
void compute(const ops::EmbeddingBackward& op, Context& context);
void compute(const ops::ExpertGemm& op, Context& context);
void compute(const ops::ExpertGemmInputGradient& op, Context& context);
void compute(const ops::ExpertGemmWeightGradient& op, Context& context);
void compute(const ops::GatedActivation& op, Context& context);
void compute(const ops::GatedActivationBackward& op, Context& context);
void compute(const ops::GatherRows& op, Context& context);
void compute(const ops::Gemm& op, Context& context);
void compute(const ops::GemmInputGradient& op, Context& context);
void compute(const ops::GemmWeightGradient& op, Context& context);
void compute(const ops::LayerNorm& op, Context& context);
void compute(const ops::LayerNormBackward& op, Context& context);
void compute(const ops::LinearCrossEntropy& op, Context& context);
void compute(const ops::LinearCrossEntropyGradient& op, Context& context);
void compute(const ops::LinearDivergence& op, Context& context);
void compute(const ops::LinearTopChoices& op, Context& context);
void compute(const ops::MixRows& op, Context& context);
void compute(const ops::MixRowsBackward& op, Context& context);
void compute(const ops::Norm& op, Context& context);
void compute(const ops::RmsNorm& op, Context& context);
void compute(const ops::RmsNormBackward& op, Context& context);
void compute(const ops::Rotate& op, Context& context);
void compute(const ops::Rotation& op, Context& context);
void compute(const ops::Sample& op, Context& context);
void compute(const ops::ScaleAndCap& op, Context& context);
void compute(const ops::ScatterRows& op, Context& context);
void compute(const ops::TopDistillation& op, Context& context);
void compute(const ops::Zero& op, Context& context);

/// Throws Error(internal) unless each of `indices` (i32) lies within [0, limit).
void require_within(std::string_view op, std::string_view name, const Tensor& indices,
                    std::int64_t limit);

}  // namespace gist::cpu
