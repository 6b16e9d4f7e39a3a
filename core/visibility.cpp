#include "core/visibility.h"

#include "kernels/error.h"

namespace gist {

std::string_view name_of(Condition condition) {
  switch (condition) {
    case Condition::gist:
      return "gist";
    case Condition::pos:
      return "pos";
    case Condition::neg:
      return "neg";
  }
  return "";
}

std::optional<Condition> condition_named(std::string_view name) {
  for (const Condition condition : {Condition::gist, Condition::pos, Condition::neg}) {
    if (name == name_of(condition)) return condition;
  }
  return std::nullopt;
}

namespace {

void require_gist(std::span<const Interval> gists, Condition condition) {
  if (condition == Condition::pos || !gists.empty()) return;
  fail(ErrorKind::data, "condition {} needs a gist token in every row, and a row has none",
       name_of(condition));
}

/// Returns for each of n keys the query from which on it is hidden: n where it never is.
std::vector<std::int32_t> hidden_from(std::int32_t n, std::span<const Interval> gists,
                                      Condition condition) {
  std::vector<std::int32_t> ends(static_cast<std::size_t>(n), n);
  if (condition == Condition::pos) return ends;
  auto gist = gists.begin();  // the first that hides key j
  for (std::int32_t j = 0; j < n; ++j) {
    const auto hides = [&](const Interval& each) {
      return j < (condition == Condition::neg ? each.end : each.begin);
    };
    while (gist != gists.end() && !hides(*gist)) ++gist;
    if (gist != gists.end()) ends[static_cast<std::size_t>(j)] = gist->end;
  }
  return ends;
}

}  // namespace

std::vector<Interval> causal_visibility(std::int32_t n, std::span<const Interval> gists,
                                        Condition condition) {
  require_gist(gists, condition);
  const std::vector<std::int32_t> ends = hidden_from(n, gists, condition);
  std::vector<Interval> visible(static_cast<std::size_t>(n));
  for (std::int32_t j = 0; j < n; ++j) {
    visible[static_cast<std::size_t>(j)] = {j, ends[static_cast<std::size_t>(j)]};
  }
  return visible;
}

std::vector<Interval> bidirectional_visibility(std::int32_t n, std::span<const Interval> gists,
                                               Condition condition) {
  require_gist(gists, condition);
  const std::vector<std::int32_t> ends = hidden_from(n, gists, condition);
  std::vector<Interval> visible(static_cast<std::size_t>(n));
  auto gist = gists.begin();
  std::int32_t begin = 0;  // where the last gist before key j ends
  for (std::int32_t j = 0; j < n; ++j) {
    for (; condition != Condition::pos && gist != gists.end() && gist->end <= j; ++gist) {
      begin = gist->end;
    }
    visible[static_cast<std::size_t>(j)] = {begin, ends[static_cast<std::size_t>(j)]};
  }
  return visible;
}

Interval decoder_visibility(std::int32_t n, std::span<const Interval> gists, Condition condition) {
  require_gist(gists, condition);
  switch (condition) {
    case Condition::pos:
      return {0, n};
    case Condition::gist:
      return {gists.back().begin, n};
    case Condition::neg:
      return {gists.back().end, n};
  }
  return {0, n};
}

}  // namespace gist
