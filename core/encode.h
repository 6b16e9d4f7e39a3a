// The encoder of an encoder-decoder: inputs, perhaps behind stored gists, to what its decoder
// reads.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/batch.h"
#include "core/gist_activations.h"
#include "core/pass.h"

namespace gist {

/// One input of the encoder.
struct EncoderInput {
  Sequence sequence;  // with a stored gist: what follows it
  Condition condition = Condition::pos;
  const GistActivations* stored = nullptr;
  std::int32_t stored_position = 0;
};

/// Encoded is what the decoder sees of each input: rows of the encoder's output, those of stored
/// gists before those of the input.
struct Encoded {
  Tensor rows;                        // [m, d_model], until the scratch's next pass
  std::vector<std::int32_t> row_end;  // [inputs] input i has rows [row_end[i - 1], row_end[i])
};

/// One pass through stack 0 for all inputs.
Encoded encode(const Model& model, std::span<const EncoderInput> inputs, Scratch& scratch);

/// The tokens of a batch of whole sequences, as add_sequence packs them, that each row's decoder
/// sees: token numbers, and where each row's end.
struct DecoderView {
  std::vector<std::int32_t> tokens;
  std::vector<std::int32_t> row_end;
};
DecoderView decoder_view(std::span<const EncoderInput> inputs);

/// Adds to a decoder's batch the cross-attention of rows that each see their part of `row_end`. The
/// batch has as many rows.
void attend_rows(Batch& batch, std::span<const std::int32_t> row_end);

}  // namespace gist
