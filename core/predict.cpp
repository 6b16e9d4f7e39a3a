#include "core/predict.h"

#include <optional>
#include <utility>

#include "core/cached_row.h"
#include "kernels/error.h"
#include "kernels/ops/divergence.h"

namespace gist {
namespace {

/// DecoderPredictions say which hidden states of a decoder's batch predict its labels. A row whose
/// labels begin with its first token is predicted from its stored gist.
struct DecoderPredictions {
  std::vector<std::int32_t> tokens;          // of the batch
  std::vector<std::int32_t> rows;            // [tokens] which label each predicts
  std::vector<const float*> stored;          // [d_model] each
  std::vector<std::int64_t> rows_of_stored;  // [stored] likewise
  std::vector<std::int32_t> labels;
  std::vector<std::size_t> sequence;  // [labels] whose label it is
};

DecoderPredictions predictions_of(std::span<const LabelledSequence> sequences, const Batch& batch,
                                  std::int32_t d_model) {
  DecoderPredictions result;
  for (std::size_t i = 0; i < sequences.size(); ++i) {
    const LabelledSequence& sequence = sequences[i];
    const std::int32_t n = sequence.sequence.tokens();
    for (std::int32_t j = n - sequence.labels; j < n; ++j) {
      const auto row = static_cast<std::int32_t>(result.labels.size());
      if (j > 0) {
        result.tokens.push_back(batch.keys.rows[i].query_begin + j - 1);
        result.rows.push_back(row);
      } else {
        const std::vector<float>& hidden = sequence.stored->hidden;
        result.stored.push_back(hidden.data() + hidden.size() - static_cast<std::size_t>(d_model));
        result.rows_of_stored.push_back(row);
      }
      result.labels.push_back(sequence.sequence.ids[static_cast<std::size_t>(j)]);
      result.sequence.push_back(i);
    }
  }
  return result;
}

void check(const LabelledSequence& sequence, bool encoder_decoder) {
  const std::int32_t stored = sequence.stored == nullptr ? 0 : sequence.stored->tokens;
  // A decoder's answer stands behind something; an encoder-decoder's behind its start token.
  const std::int32_t before = encoder_decoder ? 1 : 0;
  if (sequence.labels < 1 || sequence.labels > sequence.sequence.tokens() ||
      sequence.labels >= sequence.sequence.tokens() + stored + before) {
    fail(ErrorKind::internal, "{} labels in a row of {} tokens", sequence.labels,
         sequence.sequence.tokens() + stored);
  }
}

Predictions predict_in_decoder(const Model& model, std::span<const LabelledSequence> sequences,
                               Scratch& scratch) {
  CachedBatch batch;
  std::optional<KeyValueCache> cache;
  std::int32_t keys = 0;
  bool any_stored = false;
  for (const LabelledSequence& sequence : sequences) {
    const std::int32_t stored = sequence.stored == nullptr ? 0 : sequence.stored->tokens;
    any_stored = any_stored || stored > 0;
    keys += blocks_for(sequence.sequence.tokens() + stored) * KeyValueCache::block_size;
  }
  if (any_stored) {
    cache.emplace(model, 0, keys);
    batch.options.cache = &*cache;
  }
  for (const LabelledSequence& sequence : sequences) {
    add_whole_row(sequence.sequence, sequence.condition, sequence.stored, sequence.stored_position,
                  StackKind::causal, batch);
  }

  Pass pass(model, batch.batch, batch.options, scratch);
  const Tensor hidden = forward(pass);
  const DecoderPredictions wanted = predictions_of(sequences, batch.batch, model.spec().d_model);
  const auto n_tokens = static_cast<std::int64_t>(wanted.tokens.size());
  const auto n_labels = static_cast<std::int64_t>(wanted.labels.size());
  Backend& backend = model.backend();
  Workspace& memory = pass.lasting();
  const Tensor states = memory.allocate({n_tokens, hidden.shape[1]});
  const Tensor predicting = memory.allocate({n_labels, hidden.shape[1]});
  backend.run(ops::GatherRows{.x = hidden,
                              .rows = memory.upload({n_tokens}, Dtype::i32, wanted.tokens.data()),
                              .y = states});
  backend.run(ops::ScatterRows{.x = states,
                               .rows = memory.upload({n_tokens}, Dtype::i32, wanted.rows.data()),
                               .y = predicting});
  for (std::size_t i = 0; i < wanted.stored.size(); ++i) {
    const std::int64_t row = wanted.rows_of_stored[i];
    backend.upload(predicting.rows(row, row + 1), wanted.stored[i]);
  }
  return {predicting, wanted.labels, wanted.sequence};
}

/// `encoder` and `decoder` keep the passes' memory.
Predictions predict_in_encoder_decoder(const Model& model,
                                       std::span<const LabelledSequence> sequences,
                                       Scratch& encoder, Scratch& decoder) {
  const Encoded encoded = encode(model, encoder_inputs(sequences), encoder);
  Batch batch = decoder_batch(model.spec(), sequences);
  attend_rows(batch, encoded.row_end);
  PassOptions options;
  options.stack = model.spec().answering_stack();
  options.cross.rows = encoded.rows;
  Pass pass(model, batch, options, decoder);
  Predictions result{forward(pass), {}, {}};
  for (std::size_t i = 0; i < sequences.size(); ++i) {
    const auto answer = answer_of(sequences[i]);
    result.labels.insert(result.labels.end(), answer.begin(), answer.end());
    result.sequence.insert(result.sequence.end(), answer.size(), i);
  }
  return result;
}

}  // namespace

std::span<const std::int32_t> answer_of(const LabelledSequence& sequence) {
  return std::span(sequence.sequence.ids).last(static_cast<std::size_t>(sequence.labels));
}

std::vector<EncoderInput> encoder_inputs(std::span<const LabelledSequence> sequences) {
  std::vector<EncoderInput> inputs;
  for (const LabelledSequence& each : sequences) {
    Sequence context = each.sequence;
    context.ids.resize(context.ids.size() - static_cast<std::size_t>(each.labels));
    inputs.push_back({std::move(context), each.condition, each.stored, each.stored_position});
  }
  return inputs;
}

Batch decoder_batch(const ModelSpec& spec, std::span<const LabelledSequence> sequences) {
  Batch batch;
  for (const LabelledSequence& each : sequences) {
    const auto answer = answer_of(each);
    Sequence row{{spec.decoder_start}, {}};
    row.ids.insert(row.ids.end(), answer.begin(), answer.end() - 1);
    add_sequence(batch, row, Condition::pos, StackKind::causal);
  }
  return batch;
}

Predictions predict(const Model& model, std::span<const LabelledSequence> sequences,
                    Scratch& scratch) {
  const bool encoder_decoder = model.spec().encoder_decoder();
  for (const LabelledSequence& sequence : sequences) check(sequence, encoder_decoder);
  if (!encoder_decoder) return predict_in_decoder(model, sequences, scratch);
  Scratch encoder(model.backend());
  return predict_in_encoder_decoder(model, sequences, encoder, scratch);
}

HeadInput head_input(const Model& model, const Tensor& hidden) {
  const HeadSpec& head = model.spec().head;
  return {hidden, model.weight(head.weight, 0).matrix.get(),
          head.bias < 0 ? Tensor{} : model.weight(head.bias, 0).tensor, head.scale, head.soft_cap};
}

}  // namespace gist
