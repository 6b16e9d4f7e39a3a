// Visibility says which queries see which keys. Gisting (Mu, Li and Goodman 2023, section 3.2) is
// nothing but a choice of these intervals: one half-open interval of queries per key.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace gist {

/// The most gist tokens after one prompt: more would make sums of positions overflow, and is no
/// compression.
inline constexpr std::int32_t max_gist_tokens = 1 << 20;

/// gist: what follows a gist can't see what stands before it. pos: everything is visible, as
/// without gisting. neg: what follows a gist sees neither the gist nor what stands before it.
enum class Condition : std::uint8_t { gist, pos, neg };

std::string_view name_of(Condition condition);
std::optional<Condition> condition_named(std::string_view name);

/// [begin, end), in tokens or queries of one row.
struct Interval {
  std::int32_t begin = 0;
  std::int32_t end = 0;
  bool operator==(const Interval&) const = default;
};

/// Returns, for each of a causal row's n tokens as a key, the queries that see it. Key j is seen
/// from j on; it is hidden again from the end of the first gist that begins (condition gist) or
/// ends (neg) after it. A window narrows this for a batch: ends_within in core/batch.h.
/// `gists` are the row's gists, in order, without overlap. Throws Error(data) where gists is empty
/// in the gist and neg conditions.
std::vector<Interval> causal_visibility(std::int32_t n, std::span<const Interval> gists,
                                        Condition condition);

/// The same for an encoder's row: a key is seen by all queries, but what stands before a gist only
/// until that gist's end (condition gist; neg: the gist likewise), and what follows only from there
/// on: a gist never sees the input. Of several gists each hides all before it.
std::vector<Interval> bidirectional_visibility(std::int32_t n, std::span<const Interval> gists,
                                               Condition condition);

/// The tokens of an encoder's row that its decoder sees: from the last gist on (gist), from its end
/// on (neg), or all.
Interval decoder_visibility(std::int32_t n, std::span<const Interval> gists, Condition condition);

}  // namespace gist
