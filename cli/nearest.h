// Somebody who misspelt a name is shown the known name that is nearest to it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace gist {

/// The name that is nearest to the word: by the fewest characters that are added, left out, changed
/// or swapped with their neighbour (at most a third of the word's, at least one), else the only one
/// that begins with the word. Nothing where none is near.
std::optional<std::string> nearest(std::string_view word, const std::vector<std::string>& names);

}  // namespace gist
