// This file asks what stands behind a descriptor: a terminal with a person before it, or a file or
// pipe.
#pragma once

#include <cstddef>

namespace gist {

/// Whether the descriptor is a terminal that understands control sequences.
bool is_terminal(int descriptor);

/// Returns how many characters a line of text for people may have there: as many as the terminal
/// has columns, and 80 where there is none. From 40 to 160.
std::size_t line_width(int descriptor);

}  // namespace gist
