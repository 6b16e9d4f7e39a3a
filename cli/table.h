// Tables for terminals.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace gist {

/// Cells in columns: the first to the left, the others to the right. Columns that don't fit a line
/// follow in a table below, behind the first column again, and cells of more than about a third of
/// a line are cut.
struct Table {
  std::vector<std::vector<std::string>> rows;  // of one length; the first is the heading

  /// Returns the table for standard output: as wide as the terminal, and 80 characters where it is
  /// none.
  std::string text() const;
  /// Lines of at most `widest_line` characters.
  std::string text(std::size_t widest_line) const;
};

}  // namespace gist
