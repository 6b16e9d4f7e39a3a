// The token ids that a model's gists are made of: one id that is repeated, or a run of distinct
// ones.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/ops/sample.h"

namespace gist {

/// The most distinct ids that a model may have, and the longest gist of a range of lengths: more is
/// hardly a compression, and each id takes a row of the embedding table.
inline constexpr std::int32_t most_gist_ids = 1024;

/// The ids [first, first + count). A gist of k tokens is made of the first k of them, or, where
/// there is only one, of that one k times.
struct GistIds {
  std::int32_t first = -1;  // -1: there are none
  std::int32_t count = 1;

  bool any() const { return first >= 0; }
  bool distinct() const { return any() && count > 1; }
  std::int32_t end() const { return any() ? first + count : 0; }
  bool contains(std::int32_t id) const { return any() && first <= id && id < end(); }
  /// The id of a gist's token i; of distinct ones, i < count.
  std::int32_t at(std::int32_t i) const { return first + (count > 1 ? i : 0); }
  bool operator==(const GistIds&) const = default;
};

/// Those of two models of one vocabulary: the run of the one that has more, where both begin alike.
inline GistIds all_of(const GistIds& a, const GistIds& b) {
  if (!a.any()) return b;
  return {a.first, a.first == b.first ? std::max(a.count, b.count) : a.count};
}

/// No answer has a gist token.
inline void ban(const GistIds& ids, SamplingOptions& options) {
  options.banned = ids.first;
  options.banned_count = ids.count;
}

}  // namespace gist
