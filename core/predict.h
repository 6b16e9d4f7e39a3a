// This file finds the hidden states that predict the tokens of given answers: their loss, training
// and fidelity stand on it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/batch.h"
#include "core/encode.h"
#include "core/forward.h"
#include "core/gist_activations.h"
#include "core/model.h"

namespace gist {

struct HeadInput;  // kernels/ops/divergence.h

/// A sequence whose last `labels` tokens are the answer: what follows in a decoder, what an
/// encoder-decoder's decoder says to the tokens before it. With a stored gist the sequence is what
/// follows it.
struct LabelledSequence {
  Sequence sequence;
  std::int32_t labels = 0;  // at least 1, and fewer than the row's tokens, the stored ones included
  Condition condition = Condition::pos;
  const GistActivations* stored = nullptr;
  std::int32_t stored_position = 0;
};

std::span<const std::int32_t> answer_of(const LabelledSequence& sequence);

/// Returns what an encoder-decoder's encoder reads of each sequence: all up to the answer.
std::vector<EncoderInput> encoder_inputs(std::span<const LabelledSequence> sequences);
/// The batch of its decoder, for answers that are known: each row is decoder_start and the answer
/// but its last token, so that token i predicts label i.
Batch decoder_batch(const ModelSpec& spec, std::span<const LabelledSequence> sequences);

/// Predictions are the states that predict the labels of some sequences, in their order.
struct Predictions {
  Tensor hidden;                      // [labels, d_model]: what the head reads, in scratch memory
  std::vector<std::int32_t> labels;   // [labels]
  std::vector<std::size_t> sequence;  // [labels]: whose each is
};
/// One pass over all sequences, or one of each stack.
Predictions predict(const Model& model, std::span<const LabelledSequence> sequences,
                    Scratch& scratch);

/// What the head reads and is, for operations that compute logits in chunks of rows: hidden states
/// [m, d_model] of the model's last stack.
HeadInput head_input(const Model& model, const Tensor& hidden);

}  // namespace gist
