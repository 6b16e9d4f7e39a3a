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

std::vector<Interval> causal_visibility(std::int32_t n, std::span<const Interval> gists,
                                        Condition condition, std::int32_t window) {
  if (condition != Condition::pos && gists.empty()) {
    fail(ErrorKind::data, "condition {} needs a gist token in every row, and a row has none",
         name_of(condition));
  }
  std::vector<Interval> visible(static_cast<std::size_t>(n));
  auto gist = gists.begin();  // the first that hides key j
  for (std::int32_t j = 0; j < n; ++j) {
    const auto hides = [&](const Interval& each) {
      return j < (condition == Condition::neg ? each.end : each.begin);
    };
    while (gist != gists.end() && !hides(*gist)) ++gist;
    std::int32_t end = n;
    if (condition != Condition::pos && gist != gists.end()) end = gist->end;
    if (window > 0 && window < end - j) end = j + window;
    visible[static_cast<std::size_t>(j)] = {j, end};
  }
  return visible;
}

}  // namespace gist
