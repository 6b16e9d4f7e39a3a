#include "core/batch.h"

#include <algorithm>

namespace gist {

void KeyList::add(std::int32_t at, std::int32_t position_of_key, Interval visible) {
  slot.push_back(at);
  position.push_back(position_of_key);
  begin.push_back(visible.begin);
  end.push_back(visible.end);
}

void KeyList::clear() {
  rows.clear();
  slot.clear();
  position.clear();
  begin.clear();
  end.clear();
}

void Batch::clear() {
  ids.clear();
  positions.clear();
  keys.clear();
  cross.clear();
}

std::vector<Interval> visibility(StackKind stack, std::int32_t n, std::span<const Interval> gists,
                                 Condition condition) {
  switch (stack) {
    case StackKind::causal:
      return causal_visibility(n, gists, condition);
    case StackKind::bidirectional:
      return bidirectional_visibility(n, gists, condition);
  }
  return {};
}

void add_sequence(Batch& batch, const Sequence& sequence, Condition condition, StackKind stack) {
  const std::int32_t n = sequence.tokens();
  const std::int32_t first = batch.tokens();
  const std::int32_t first_key = batch.keys.size();
  const std::vector<Interval> visible = visibility(stack, n, sequence.gists, condition);
  for (std::int32_t j = 0; j < n; ++j) {
    batch.ids.push_back(sequence.ids[static_cast<std::size_t>(j)]);
    batch.positions.push_back(j);
    batch.keys.add(first + j, j, visible[static_cast<std::size_t>(j)]);
  }
  batch.keys.rows.push_back({first, first + n, 0, first_key, first_key + n});
}

std::vector<std::int32_t> ends_within(const Batch& batch, std::int32_t window) {
  std::vector<std::int32_t> ends = batch.keys.end;
  for (const AttentionRow& row : batch.keys.rows) {
    if (row.query_begin == row.query_end) continue;
    // Where query 0 of the row stands.
    const std::int64_t first =
        std::int64_t{batch.positions[static_cast<std::size_t>(row.query_begin)]} - row.query_index;
    for (std::int32_t j = row.key_begin; j < row.key_end; ++j) {
      const auto key = static_cast<std::size_t>(j);
      const std::int64_t end = batch.keys.position[key] + std::int64_t{window} - first;
      ends[key] = static_cast<std::int32_t>(std::clamp<std::int64_t>(end, 0, ends[key]));
    }
  }
  return ends;
}

std::int64_t visible_pairs(const KeyList& keys, std::span<const std::int32_t> ends) {
  std::int64_t pairs = 0;
  for (const AttentionRow& row : keys.rows) {
    const std::int32_t last = row.query_index + row.query_end - row.query_begin;
    for (std::int32_t j = row.key_begin; j < row.key_end; ++j) {
      const auto key = static_cast<std::size_t>(j);
      pairs += std::max(0, std::min(ends[key], last) - std::max(keys.begin[key], row.query_index));
    }
  }
  return pairs;
}

std::int64_t visible_pairs(const KeyList& keys) {
  return visible_pairs(keys, keys.end);
}

std::int64_t listed_pairs(const KeyList& keys) {
  std::int64_t pairs = 0;
  for (const AttentionRow& row : keys.rows) {
    pairs +=
        std::int64_t{row.query_end - row.query_begin} * std::int64_t{row.key_end - row.key_begin};
  }
  return pairs;
}

}  // namespace gist
