// A ragged batch: rows of tokens packed end to end, with the keys that each row's queries see.
// There is no padding. Host memory; core/pass.h holds its copy on the device.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/model.h"
#include "core/visibility.h"
#include "kernels/backend.h"

namespace gist {

/// One sequence: token ids, and where its gists stand in them.
struct Sequence {
  std::vector<std::int32_t> ids;
  std::vector<Interval> gists;
  std::int32_t tokens() const { return static_cast<std::int32_t>(ids.size()); }
};

/// The keys that a batch's queries see (AttentionKeys, on the host).
struct KeyList {
  std::vector<AttentionRow> rows;
  /// [list] where a key stands: its token in the batch, or, with a cache, its slot there.
  std::vector<std::int32_t> slot;
  std::vector<std::int32_t> position;  // [list] of the key
  std::vector<std::int32_t> begin;     // [list] queries, by index within the row, that see the key
  std::vector<std::int32_t> end;       // [list]

  void add(std::int32_t at, std::int32_t position_of_key, Interval visible);
  std::int32_t size() const { return static_cast<std::int32_t>(slot.size()); }
  void clear();
};

struct Batch {
  std::vector<std::int32_t> ids;        // [n]
  std::vector<std::int32_t> positions;  // [n], within the row's whole sequence
  KeyList keys;                         // of self-attention
  KeyList cross;  // of cross-attention, where the stack has it: rows of the encoder's output

  std::int32_t tokens() const { return static_cast<std::int32_t>(ids.size()); }
  void clear();
};

/// Returns for each of a row's n tokens which of its n queries see it, in a stack of this kind.
std::vector<Interval> visibility(StackKind stack, std::int32_t n, std::span<const Interval> gists,
                                 Condition condition);

/// Adds a whole sequence as one row that starts at position 0 and sees only itself, to the batch of
/// a causal or a bidirectional stack.
void add_sequence(Batch& batch, const Sequence& sequence, Condition condition, StackKind stack);

/// KeyList::end of the batch's own keys where a query sees only those that stand at fewer than
/// `window` positions before it. A row's positions are consecutive, so that its first one's tells
/// where each stands; keys that were stored or cached count by their positions, too.
std::vector<std::int32_t> ends_within(const Batch& batch, std::int32_t window);

/// Pairs of a query and a key that it sees, over all rows; `ends` stands for the list's own.
std::int64_t visible_pairs(const KeyList& keys, std::span<const std::int32_t> ends);
std::int64_t visible_pairs(const KeyList& keys);
/// The same without a mask: each row's queries with all of its keys.
std::int64_t listed_pairs(const KeyList& keys);

}  // namespace gist
