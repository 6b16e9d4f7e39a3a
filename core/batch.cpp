#include "core/batch.h"

#include <algorithm>

namespace gist {

void Batch::clear() {
  ids.clear();
  positions.clear();
  rows.clear();
  slot.clear();
  begin.clear();
  end.clear();
}

void add_sequence(Batch& batch, const Sequence& sequence, Condition condition) {
  const std::int32_t n = sequence.tokens();
  const std::int32_t first = batch.tokens();
  const std::int32_t first_key = static_cast<std::int32_t>(batch.slot.size());
  const std::vector<Interval> visible = causal_visibility(n, sequence.gists, condition);
  for (std::int32_t j = 0; j < n; ++j) {
    batch.ids.push_back(sequence.ids[static_cast<std::size_t>(j)]);
    batch.positions.push_back(j);
    batch.slot.push_back(first + j);
    batch.begin.push_back(visible[static_cast<std::size_t>(j)].begin);
    batch.end.push_back(visible[static_cast<std::size_t>(j)].end);
  }
  batch.rows.push_back({first, first + n, 0, first_key, first_key + n});
}

std::int64_t visible_pairs(const Batch& batch) {
  std::int64_t pairs = 0;
  for (const AttentionRow& row : batch.rows) {
    const std::int32_t last = row.query_index + row.query_end - row.query_begin;
    for (std::int32_t j = row.key_begin; j < row.key_end; ++j) {
      const auto key = static_cast<std::size_t>(j);
      pairs +=
          std::max(0, std::min(batch.end[key], last) - std::max(batch.begin[key], row.query_index));
    }
  }
  return pairs;
}

}  // namespace gist
