// Tables for terminals.
#pragma once

#include <string>
#include <vector>

namespace gist {

/// Cells in columns: the first to the left, the others to the right. Lines have at most 80
/// characters: columns that don't fit follow in a table below, behind the first column again, and
/// cells of more than 28 characters are cut.
struct Table {
  std::vector<std::vector<std::string>> rows;  // of one length; the first is the heading

  std::string text() const;
};

}  // namespace gist
