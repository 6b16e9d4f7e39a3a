// A ragged batch: rows of tokens packed end to end, with the keys that each row's queries see.
// There is no padding. Host memory; core/pass.h holds its copy on the device.
#pragma once

#include <cstdint>
#include <vector>

#include "core/visibility.h"
#include "kernels/backend.h"

namespace gist {

/// One sequence: token ids, and where its gists stand in them.
struct Sequence {
  std::vector<std::int32_t> ids;
  std::vector<Interval> gists;
  std::int32_t tokens() const { return static_cast<std::int32_t>(ids.size()); }
};

struct Batch {
  std::vector<std::int32_t> ids;        // [n]
  std::vector<std::int32_t> positions;  // [n], within the row's whole sequence
  std::vector<AttentionRow> rows;
  std::vector<std::int32_t> slot;   // [list] where a key stands: its token in the batch, or, with a
                                    // cache, its slot there
  std::vector<std::int32_t> begin;  // [list] queries, by index within the row, that see the key
  std::vector<std::int32_t> end;    // [list]

  std::int32_t tokens() const { return static_cast<std::int32_t>(ids.size()); }
  void clear();
};

/// Adds a whole sequence as one row that starts at position 0 and sees only itself.
void add_sequence(Batch& batch, const Sequence& sequence, Condition condition);

/// Pairs of a query and a key that it sees, over all rows.
std::int64_t visible_pairs(const Batch& batch);

}  // namespace gist
