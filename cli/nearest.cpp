#include "cli/nearest.h"

#include <algorithm>
#include <cstddef>

namespace gist {
namespace {

/// The distance of Damerau and Levenshtein, no character being changed twice.
std::size_t edits(std::string_view a, std::string_view b) {
  const std::size_t columns = b.size() + 1;
  std::vector<std::size_t> table((a.size() + 1) * columns);  // [a.size() + 1, b.size() + 1]
  const auto at = [&](std::size_t i, std::size_t j) -> std::size_t& {
    return table[i * columns + j];
  };
  for (std::size_t i = 0; i <= a.size(); ++i) {
    for (std::size_t j = 0; j <= b.size(); ++j) {
      if (i == 0 || j == 0) {
        at(i, j) = i + j;
        continue;
      }
      const std::size_t change = a[i - 1] == b[j - 1] ? 0 : 1;
      at(i, j) = std::min({at(i - 1, j) + 1, at(i, j - 1) + 1, at(i - 1, j - 1) + change});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) at(i, j) = std::min(at(i, j), at(i - 2, j - 2) + 1);
    }
  }
  return at(a.size(), b.size());
}

}  // namespace

std::optional<std::string> nearest(std::string_view word, const std::vector<std::string>& names) {
  // A word of any length may come here, and the table grows with it.
  if (word.empty() || word.size() > 64) return std::nullopt;
  std::size_t fewest = std::max<std::size_t>(1, word.size() / 3) + 1;
  std::optional<std::string> found;
  for (const std::string& name : names) {
    const std::size_t count = edits(word, name);
    if (count >= fewest) continue;
    fewest = count;
    found = name;
  }
  if (found) return found;
  const auto begins = [word](const std::string& name) { return name.starts_with(word); };
  if (std::count_if(names.begin(), names.end(), begins) != 1) return std::nullopt;
  return *std::find_if(names.begin(), names.end(), begins);
}

}  // namespace gist
