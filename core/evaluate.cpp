#include "core/evaluate.h"

#include <optional>

#include "core/cached_row.h"
#include "kernels/error.h"

namespace gist {
namespace {

/// The hidden states that predict the batch's labels. A row whose labels begin with its first token
/// is predicted from its stored gist: those come last.
struct Predictions {
  std::vector<std::int32_t> tokens;   // of the batch
  std::vector<const float*> stored;   // [d_model] each
  std::vector<std::int32_t> labels;   // tokens.size() + stored.size()
  std::vector<std::size_t> sequence;  // likewise: whose label it is
};

Predictions predictions_of(std::span<const LabelledSequence> sequences, const Batch& batch,
                           std::int32_t d_model) {
  Predictions result;
  std::vector<std::int32_t> stored_labels;
  std::vector<std::size_t> stored_sequence;
  for (std::size_t i = 0; i < sequences.size(); ++i) {
    const LabelledSequence& sequence = sequences[i];
    const std::int32_t n = sequence.sequence.tokens();
    for (std::int32_t j = n - sequence.labels; j < n; ++j) {
      const std::int32_t label = sequence.sequence.ids[static_cast<std::size_t>(j)];
      if (j > 0) {
        result.tokens.push_back(batch.rows[i].query_begin + j - 1);
        result.labels.push_back(label);
        result.sequence.push_back(i);
      } else {
        const std::vector<float>& hidden = sequence.stored->hidden;
        result.stored.push_back(hidden.data() + hidden.size() - static_cast<std::size_t>(d_model));
        stored_labels.push_back(label);
        stored_sequence.push_back(i);
      }
    }
  }
  result.labels.insert(result.labels.end(), stored_labels.begin(), stored_labels.end());
  result.sequence.insert(result.sequence.end(), stored_sequence.begin(), stored_sequence.end());
  return result;
}

void check(const LabelledSequence& sequence) {
  const std::int32_t stored = sequence.stored == nullptr ? 0 : sequence.stored->tokens;
  if (sequence.labels < 1 || sequence.labels > sequence.sequence.tokens() ||
      sequence.labels >= sequence.sequence.tokens() + stored) {
    fail(ErrorKind::internal, "{} labels in a row of {} tokens", sequence.labels,
         sequence.sequence.tokens() + stored);
  }
}

}  // namespace

std::vector<AnswerLoss> answer_loss(const Model& model, std::span<const LabelledSequence> sequences,
                                    Scratch& scratch) {
  CachedBatch batch;
  std::optional<KeyValueCache> cache;
  std::int32_t keys = 0;
  bool any_stored = false;
  for (const LabelledSequence& sequence : sequences) {
    check(sequence);
    const std::int32_t stored = sequence.stored == nullptr ? 0 : sequence.stored->tokens;
    any_stored = any_stored || stored > 0;
    keys += blocks_for(sequence.sequence.tokens() + stored) * KeyValueCache::block_size;
  }
  if (any_stored) {
    cache.emplace(model, keys);
    batch.options.cache = &*cache;
  }
  for (const LabelledSequence& sequence : sequences) {
    if (!cache) {
      add_sequence(batch.batch, sequence.sequence, sequence.condition);
      continue;
    }
    CachedRow row;
    if (sequence.stored != nullptr) {
      place_gist(row, *sequence.stored, sequence.stored_position, *cache, batch);
    }
    extend_row(row, sequence.sequence.ids, sequence.sequence.gists, sequence.condition, *cache,
               batch);
  }

  Pass pass(model, batch.batch, batch.options, scratch);
  const Tensor hidden = forward(pass);
  const Predictions wanted = predictions_of(sequences, batch.batch, model.spec().d_model);
  const auto n_tokens = static_cast<std::int64_t>(wanted.tokens.size());
  const auto n_labels = static_cast<std::int64_t>(wanted.labels.size());
  Backend& backend = model.backend();
  Workspace& memory = pass.lasting();
  const Tensor predicting = memory.allocate({n_labels, hidden.shape[1]});
  backend.gather_rows(hidden, memory.upload({n_tokens}, Dtype::i32, wanted.tokens.data()),
                      predicting.rows(0, n_tokens));
  for (std::size_t i = 0; i < wanted.stored.size(); ++i) {
    const std::int64_t at = n_tokens + static_cast<std::int64_t>(i);
    backend.upload(predicting.rows(at, at + 1), wanted.stored[i]);
  }

  const HeadSpec& head = model.spec().head;
  const Tensor bias = head.bias < 0 ? Tensor{} : model.weight(head.bias, 0).tensor;
  const Tensor loss = memory.allocate({n_labels});
  const Tensor best = memory.allocate({n_labels}, Dtype::i32);
  backend.linear_cross_entropy(
      predicting, *model.weight(head.weight, 0).matrix, bias, head.scale, head.soft_cap,
      memory.upload({n_labels}, Dtype::i32, wanted.labels.data()), loss, best);
  std::vector<float> losses(wanted.labels.size());
  std::vector<std::int32_t> choices(wanted.labels.size());
  backend.download(loss, losses.data());
  backend.download(best, choices.data());

  std::vector<AnswerLoss> results(sequences.size());
  for (std::size_t i = 0; i < wanted.labels.size(); ++i) {
    AnswerLoss& result = results[wanted.sequence[i]];
    result.sum += losses[i];
    ++result.labels;
    if (choices[i] == wanted.labels[i]) ++result.correct;
  }
  return results;
}

}  // namespace gist
