#include "core/decoding_step.h"

#include <algorithm>
#include <bit>

#include "core/key_value_cache.h"

namespace gist {
namespace {

constexpr std::int32_t shortest_step = 1024;

/// Lengths are multiples of a quarter of the power of two below them: few, and none is long for
/// what it holds.
std::int32_t padded_length(std::int32_t length) {
  const auto power = static_cast<std::int32_t>(std::bit_floor(static_cast<std::uint32_t>(length)));
  const std::int32_t step = std::max(shortest_step, power / 4);
  return (length + step - 1) / step * step;
}

void pad(KeyList& list) {
  const auto length = static_cast<std::size_t>(padded_length(list.size()));
  list.slot.resize(length);
  list.position.resize(length);
  list.begin.resize(length);
  list.end.resize(length);  // begin 0, end 0: no query sees them, either
}

void describe(const Pass::Attended& attended, std::vector<std::uint64_t>& words) {
  words.push_back(static_cast<std::uint64_t>(attended.keys.slot.shape[0]));
  if (attended.cache == nullptr) return;
  const Tensor keys = attended.cache->keys(0);
  words.push_back(reinterpret_cast<std::uintptr_t>(keys.data));
  words.push_back(static_cast<std::uint64_t>(keys.shape[0]));
}

}  // namespace

bool only_decodes(const CachedBatch& batch) {
  return batch.options.placed.empty() && batch.options.cross.rows.shape[0] == 0 &&
         std::ranges::all_of(batch.batch.keys.rows, [](const AttentionRow& row) {
           return row.query_end - row.query_begin == 1;
         });
}

void pad_lists(Batch& batch) {
  pad(batch.keys);
  pad(batch.cross);
}

std::vector<std::uint64_t> replay_key(const Pass& pass, const Scratch& scratch) {
  std::vector<std::uint64_t> words = {static_cast<std::uint64_t>(pass.tokens())};
  describe(pass.self(), words);
  describe(pass.cross(), words);
  scratch.lasting.describe(words);
  for (const Workspace& layer : scratch.layers) layer.describe(words);
  return words;
}

}  // namespace gist
