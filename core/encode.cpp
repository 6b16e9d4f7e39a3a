#include "core/encode.h"

#include <algorithm>
#include <optional>

#include "core/cached_row.h"
#include "core/forward.h"

namespace gist {
namespace {

constexpr int encoder = 0;

bool any_stored(std::span<const EncoderInput> inputs) {
  return std::any_of(inputs.begin(), inputs.end(),
                     [](const EncoderInput& input) { return input.stored != nullptr; });
}

KeyValueCache cache_for(const Model& model, std::span<const EncoderInput> inputs) {
  std::int32_t blocks = 0;
  for (const EncoderInput& input : inputs) {
    const std::int32_t stored = input.stored == nullptr ? 0 : input.stored->tokens;
    blocks += blocks_for(stored + input.sequence.tokens());
  }
  return {model, encoder, blocks * KeyValueCache::block_size};
}

/// The inputs as one batch: behind stored gists through a cache, else as they are.
CachedBatch batch_of(std::span<const EncoderInput> inputs, KeyValueCache* cache) {
  CachedBatch batch;
  batch.options.stack = encoder;
  batch.options.cache = cache;
  for (const EncoderInput& input : inputs) {
    add_whole_row(input.sequence, input.condition, input.stored, input.stored_position,
                  StackKind::bidirectional, batch);
  }
  return batch;
}

/// Copies what the store has of the encoder's output in front of each input's own rows.
Encoded with_stored(std::span<const EncoderInput> inputs, const DecoderView& view,
                    const Tensor& hidden, Pass& pass) {
  const std::int64_t d = hidden.shape[1];
  Encoded result;
  std::int32_t total = 0;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const std::int32_t own = view.row_end[i] - (i == 0 ? 0 : view.row_end[i - 1]);
    total += own + (inputs[i].stored == nullptr ? 0 : inputs[i].stored->tokens);
    result.row_end.push_back(total);
  }
  Workspace& memory = pass.lasting();
  Backend& backend = pass.backend();
  const auto n_own = static_cast<std::int64_t>(view.tokens.size());
  const Tensor own = memory.allocate({n_own, d});
  backend.run(ops::GatherRows{
      .x = hidden, .rows = memory.upload({n_own}, Dtype::i32, view.tokens.data()), .y = own});
  result.rows = memory.allocate({total, d});
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const std::int32_t own_begin = i == 0 ? 0 : view.row_end[i - 1];
    const std::int32_t own_end = view.row_end[i];
    const std::int32_t end = result.row_end[i];
    const std::int32_t own_at = end - (own_end - own_begin);
    if (inputs[i].stored != nullptr) {
      const std::int32_t begin = own_at - inputs[i].stored->tokens;
      backend.upload(result.rows.rows(begin, own_at), inputs[i].stored->hidden.data());
    }
    backend.copy(own.rows(own_begin, own_end), result.rows.rows(own_at, end));
  }
  return result;
}

}  // namespace

DecoderView decoder_view(std::span<const EncoderInput> inputs) {
  DecoderView view;
  std::int32_t first = 0;
  for (const EncoderInput& input : inputs) {
    const std::int32_t n = input.sequence.tokens();
    const Interval seen = decoder_visibility(n, input.sequence.gists, input.condition);
    for (std::int32_t j = seen.begin; j < seen.end; ++j) view.tokens.push_back(first + j);
    view.row_end.push_back(static_cast<std::int32_t>(view.tokens.size()));
    first += n;
  }
  return view;
}

Encoded encode(const Model& model, std::span<const EncoderInput> inputs, Scratch& scratch) {
  std::optional<KeyValueCache> cache;
  if (any_stored(inputs)) cache = cache_for(model, inputs);
  const CachedBatch batch = batch_of(inputs, cache ? &*cache : nullptr);
  Pass pass(model, batch.batch, batch.options, scratch);
  const Tensor hidden = forward(pass);
  return with_stored(inputs, decoder_view(inputs), hidden, pass);
}

void attend_rows(Batch& batch, std::span<const std::int32_t> row_end) {
  for (std::size_t i = 0; i < row_end.size(); ++i) {
    AttentionRow row = batch.keys.rows[i];
    const std::int32_t queries = row.query_index + row.query_end - row.query_begin;
    const std::int32_t begin = i == 0 ? 0 : row_end[i - 1];
    row.key_begin = batch.cross.size();
    for (std::int32_t slot = begin; slot < row_end[i]; ++slot) {
      batch.cross.add(slot, slot - begin, {0, queries});
    }
    row.key_end = batch.cross.size();
    batch.cross.rows.push_back(row);
  }
}

}  // namespace gist
