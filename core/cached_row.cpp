#include "core/cached_row.h"

#include <algorithm>
#include <limits>

namespace gist {
namespace {

/// Nothing hides the key: it is visible to whatever the row will ever ask.
constexpr std::int32_t forever = std::numeric_limits<std::int32_t>::max();

std::int32_t next_slot(CachedRow& row, KeyValueCache& cache) {
  if (row.free_in_last == 0) {
    row.blocks.push_back(cache.take_block());
    row.free_in_last = KeyValueCache::block_size;
  }
  const std::int32_t used = KeyValueCache::block_size - row.free_in_last--;
  return row.blocks.back() * KeyValueCache::block_size + used;
}

std::int32_t add_key(CachedRow& row, std::int32_t position, Interval visible,
                     KeyValueCache& cache) {
  const std::int32_t slot = next_slot(row, cache);
  row.slot.push_back(slot);
  row.position.push_back(position);
  row.begin.push_back(visible.begin);
  row.end.push_back(visible.end);
  return slot;
}

/// Adds a row of queries with all of its keys to a list.
void list_keys(const CachedRow& row, AttentionRow queries, KeyList& list) {
  queries.key_begin = list.size();
  for (std::size_t j = 0; j < row.slot.size(); ++j) {
    list.add(row.slot[j], row.position[j], {row.begin[j], row.end[j]});
  }
  queries.key_end = list.size();
  list.rows.push_back(queries);
}

}  // namespace

void CachedBatch::clear() {
  batch.clear();
  options.write_slots.clear();
  options.placed.clear();
  options.cross = {};
}

std::int32_t blocks_for(std::int32_t keys) {
  return (keys + KeyValueCache::block_size - 1) / KeyValueCache::block_size;
}

void place_gist(CachedRow& row, const GistActivations& gist, std::int32_t position,
                KeyValueCache& cache, CachedBatch& batch) {
  PlacedGist placed{&gist, position, {}};
  for (std::int32_t i = 0; i < gist.tokens; ++i) {
    placed.slots.push_back(add_key(row, position + i, {0, forever}, cache));
  }
  row.first_position = position + gist.tokens;
  batch.options.placed.push_back(std::move(placed));
}

void extend_row(CachedRow& row, std::span<const std::int32_t> ids, std::span<const Interval> gists,
                Condition condition, StackKind stack, KeyValueCache& cache, CachedBatch& batch) {
  Batch& target = batch.batch;
  const auto n = static_cast<std::int32_t>(ids.size());
  const std::int32_t first = target.tokens();
  // One query more than there are is asked about: what it sees, later tokens see, too.
  const std::vector<Interval> visible = visibility(stack, n + 1, gists, condition);
  for (std::int32_t j = 0; j < n; ++j) {
    const Interval own = visible[static_cast<std::size_t>(j)];
    const Interval in_row{row.queries + own.begin, own.end > n ? forever : row.queries + own.end};
    const std::int32_t position = row.first_position + row.queries + j;
    target.ids.push_back(ids[static_cast<std::size_t>(j)]);
    target.positions.push_back(position);
    batch.options.write_slots.push_back(add_key(row, position, in_row, cache));
  }
  list_keys(row, {first, first + n, row.queries, 0, 0}, target.keys);
  row.queries += n;
}

void add_whole_row(const Sequence& sequence, Condition condition, const GistActivations* stored,
                   std::int32_t stored_position, StackKind stack, CachedBatch& batch) {
  KeyValueCache* const cache = batch.options.cache;
  if (cache == nullptr) {
    add_sequence(batch.batch, sequence, condition, stack);
    return;
  }
  CachedRow row;
  if (stored != nullptr) place_gist(row, *stored, stored_position, *cache, batch);
  extend_row(row, sequence.ids, sequence.gists, condition, stack, *cache, batch);
}

void read_encoder(CachedRow& row, std::int32_t count, KeyValueCache& cache, CachedBatch& batch) {
  for (std::int32_t i = 0; i < count; ++i) {
    batch.options.cross.write_slots.push_back(add_key(row, i, {0, forever}, cache));
  }
}

void attend_encoder(const CachedRow& row, CachedBatch& batch) {
  list_keys(row, batch.batch.keys.rows.back(), batch.batch.cross);
}

void drop_hidden_keys(CachedRow& row, KeyValueCache& cache) {
  std::size_t kept = 0;
  for (std::size_t j = 0; j < row.slot.size(); ++j) {
    if (row.end[j] <= row.queries) continue;
    row.slot[kept] = row.slot[j];
    row.position[kept] = row.position[j];
    row.begin[kept] = row.begin[j];
    row.end[kept] = row.end[j];
    ++kept;
  }
  if (kept == row.slot.size()) return;
  row.slot.resize(kept);
  row.position.resize(kept);
  row.begin.resize(kept);
  row.end.resize(kept);

  // The last block stays even where it is empty: the row's next key goes there.
  const auto holds_none = [&row](std::int32_t block) {
    return std::none_of(row.slot.begin(), row.slot.end(), [block](std::int32_t slot) {
      return slot / KeyValueCache::block_size == block;
    });
  };
  std::vector<std::int32_t> blocks;
  for (const std::int32_t block : row.blocks) {
    if (block != row.blocks.back() && holds_none(block)) {
      cache.give_block(block);
    } else {
      blocks.push_back(block);
    }
  }
  row.blocks = std::move(blocks);
}

void release_row(CachedRow& row, KeyValueCache& cache) {
  for (const std::int32_t block : row.blocks) cache.give_block(block);
  row = CachedRow{};
}

}  // namespace gist
