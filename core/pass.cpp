#include "core/pass.h"

#include <algorithm>

#include "core/adapter.h"
#include "core/random.h"
#include "core/tape.h"
#include "kernels/error.h"

namespace gist {
namespace {

Tensor upload_list(Workspace& workspace, const std::vector<std::int32_t>& list) {
  return workspace.upload({static_cast<std::int64_t>(list.size())}, Dtype::i32, list.data());
}

/// All placed gists' tokens, layers outermost.
struct StoredKeys {
  std::vector<std::int32_t> positions, slots;  // [tokens]
  std::vector<float> key, value;               // [layers, tokens, kv_heads, dim]
};

/// Appends layer `layer` of each token of source [tokens, layers, width] to target.
void append_layer(std::vector<float>& target, const std::vector<float>& source, int tokens,
                  int layers, int layer, std::size_t width) {
  if (source.empty()) return;
  for (int token = 0; token < tokens; ++token) {
    const auto row = static_cast<std::size_t>(token) * static_cast<std::size_t>(layers) +
                     static_cast<std::size_t>(layer);
    target.insert(target.end(), source.begin() + static_cast<std::ptrdiff_t>(row * width),
                  source.begin() + static_cast<std::ptrdiff_t>((row + 1) * width));
  }
}

StoredKeys stored_keys(const std::vector<PlacedGist>& placed, const StackSpec& stack) {
  StoredKeys stored;
  for (const PlacedGist& gist : placed) {
    for (std::int32_t i = 0; i < gist.activations->tokens; ++i) {
      stored.positions.push_back(gist.position + i);
    }
    stored.slots.insert(stored.slots.end(), gist.slots.begin(), gist.slots.end());
  }
  for (int layer = 0; layer < stack.layers; ++layer) {
    for (const PlacedGist& gist : placed) {
      const GistActivations& from = *gist.activations;
      append_layer(stored.key, from.key, from.tokens, stack.layers, layer,
                   static_cast<std::size_t>(stack.key_width()));
      append_layer(stored.value, from.value, from.tokens, stack.layers, layer,
                   static_cast<std::size_t>(stack.value_width()));
    }
  }
  return stored;
}

Pass::Attended upload_keys(Workspace& memory, const KeyList& list, KeyValueCache* cache,
                           const std::vector<std::int32_t>& write_slots, bool with_positions) {
  static_assert(sizeof(AttentionRow) == 5 * sizeof(std::int32_t));
  Pass::Attended result;
  result.keys.rows =
      memory.upload({static_cast<std::int64_t>(list.rows.size()), 5}, Dtype::i32, list.rows.data());
  result.keys.slot = upload_list(memory, list.slot);
  result.keys.begin = upload_list(memory, list.begin);
  result.keys.end = upload_list(memory, list.end);
  result.keys.visible_pairs = visible_pairs(list);
  result.keys.listed_pairs = listed_pairs(list);
  if (with_positions) result.positions = upload_list(memory, list.position);
  result.cache = cache;
  result.write_slots = upload_list(memory, write_slots);
  return result;
}

/// A stream's bits tell 2^32 steps, 256 passes, two stacks, 2^15 parts and 256 dropouts apart: each
/// further 256 passes draw from a seed of their own.
constexpr std::uint32_t passes_of_a_seed = 256;
constexpr int most_parts = 1 << 15;
constexpr std::uint32_t most_dropouts = 256;

std::optional<PassDropout> within_streams(std::optional<PassDropout> dropout) {
  if (!dropout) return dropout;
  if (dropout->step >> 32 != 0) {
    fail(ErrorKind::internal, "dropout: step {} is not below 2^32", dropout->step);
  }
  const std::uint32_t group = dropout->pass / passes_of_a_seed;
  if (group == 0) return dropout;
  const auto words = random_words(dropout->seed, RandomUse::dropout_seed, group, 0);
  dropout->seed = std::uint64_t{words[1]} << 32 | words[0];
  dropout->pass %= passes_of_a_seed;
  return dropout;
}

/// Tokenizers may know tokens, for padding, say, that a model has no row for.
void check_ids(const std::vector<std::int32_t>& ids, std::int32_t rows) {
  const auto beyond = std::find_if(ids.begin(), ids.end(),
                                   [rows](std::int32_t id) { return id < 0 || id >= rows; });
  if (beyond == ids.end()) return;
  fail(
      ErrorKind::data,
      "token id {} is to be read, but the model's embedding table has {} rows: tokenizer and model "
      "don't belong together",
      *beyond, rows);
}

/// A batch's tokens of which an adapter has rows of its own.
struct GistTokens {
  std::vector<std::int32_t> tokens, rows;
};

/// Takes them out of `ids`.
GistTokens take_gist_tokens(std::vector<std::int32_t>& ids, const Adapter& adapter) {
  GistTokens found;
  const GistIds& gists = adapter.spec().gist_ids;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (!gists.contains(ids[i])) continue;
    found.tokens.push_back(static_cast<std::int32_t>(i));
    found.rows.push_back(ids[i] - gists.first);
    ids[i] = 0;
  }
  return found;
}

}  // namespace

Pass::Pass(const Model& model, const Batch& batch, const PassOptions& options, Scratch& scratch)
    : model_(&model),
      scratch_(&scratch),
      stack_(options.stack),
      layer_memory_(&scratch.layers[0]),
      dropout_(within_streams(options.dropout)),
      cross_rows_(options.cross.rows) {
  if (options.cache != nullptr && options.write_slots.size() != batch.ids.size()) {
    fail(ErrorKind::internal, "a pass of {} tokens was given {} cache slots", batch.ids.size(),
         options.write_slots.size());
  }
  std::vector<std::int32_t> ids = batch.ids;
  GistTokens gists;
  if (model.adapter() != nullptr) gists = take_gist_tokens(ids, *model.adapter());
  check_ids(ids, model.spec().vocabulary);
  scratch.lasting.reset();
  for (Workspace& layer : scratch.layers) layer.reset();
  Workspace& memory = scratch.lasting;
  ids_ = upload_list(memory, ids);
  if (!gists.tokens.empty()) {
    adapted_ = {model.adapter(), upload_list(memory, gists.tokens),
                upload_list(memory, gists.rows)};
  }
  positions_ = upload_list(memory, batch.positions);
  const bool with_positions = model.spec().key_position == KeyPosition::none;
  self_ = upload_keys(memory, batch.keys, options.cache, options.write_slots, with_positions);
  if (this->stack().window > 0) {
    const std::vector<std::int32_t> ends = ends_within(batch, this->stack().window);
    windowed_ = self_;
    windowed_.keys.end = upload_list(memory, ends);
    windowed_.keys.visible_pairs = visible_pairs(batch.keys, ends);
  }
  if (stack().reads_encoder) {
    cross_ = upload_keys(memory, batch.cross, options.cross.cache, options.cross.write_slots,
                         with_positions);
  }

  const StackSpec& stack = this->stack();
  const StoredKeys stored = stored_keys(options.placed, stack);
  const auto n_stored = static_cast<std::int64_t>(stored.slots.size());
  placed_.positions = upload_list(memory, stored.positions);
  placed_.slots = upload_list(memory, stored.slots);
  placed_.key = memory.upload({stack.layers, n_stored, stack.kv_heads, stack.key_dim}, Dtype::f32,
                              stored.key.data());
  placed_.value = memory.upload({stack.layers, n_stored, stack.kv_heads, stack.value_dim},
                                Dtype::f32, stored.value.data());

  const auto kept = static_cast<std::int64_t>(options.capture.size());
  captured_.tokens = upload_list(memory, options.capture);
  captured_.key = memory.allocate({stack.layers, kept, stack.kv_heads, stack.key_dim});
  captured_.value = memory.allocate({stack.layers, kept, stack.kv_heads, stack.value_dim});
}

Tensor Pass::rotation(std::span<const float> inv_freq, float scale, const Tensor& positions) {
  for (const Rotation& known : rotations_) {
    if (known.scale == scale && known.positions == positions.data &&
        std::equal(known.inv_freq.begin(), known.inv_freq.end(), inv_freq.begin(),
                   inv_freq.end())) {
      return known.table;
    }
  }
  const auto pairs = static_cast<std::int64_t>(inv_freq.size());
  const Tensor frequencies = lasting().upload({pairs}, Dtype::f32, inv_freq.data());
  const Tensor table = lasting().allocate({positions.shape[0], 2, pairs});
  backend().run(ops::Rotation{
      .positions = positions, .inv_freq = frequencies, .scale = scale, .rotation = table});
  rotations_.push_back({{inv_freq.begin(), inv_freq.end()}, scale, positions.data, table});
  return table;
}

Dropout Pass::next_dropout(float probability) {
  if (!dropout_ || probability == 0) return {};
  if (part_ >= most_parts || part_dropouts_ >= most_dropouts) {
    fail(ErrorKind::internal, "dropout {} of part {}: there are {} a part, and {} parts",
         part_dropouts_, part_, most_dropouts, most_parts);
  }
  const std::uint64_t place = std::uint64_t{dropout_->pass} << 24 |
                              static_cast<std::uint64_t>(stack_) << 23 |
                              static_cast<std::uint64_t>(part_) << 8 | part_dropouts_++;
  return {probability, dropout_->seed, dropout_->step << 32 | place};
}

void Pass::begin(int part, int layer, Workspace& memory, Tape* tape) {
  part_ = part;
  layer_ = layer;
  part_dropouts_ = 0;
  layer_memory_ = &memory;
  layer_memory_->reset();
  tape_ = tape;
}

void Pass::begin_part(int part, int layer) {
  turn_ = 1 - turn_;
  begin(part, layer, scratch_->layers[turn_], nullptr);
}

void Pass::begin_recorded_part(int part, int layer, Workspace& memory, Tape& tape) {
  begin(part, layer, memory, &tape);
  tape.clear();
}

}  // namespace gist
