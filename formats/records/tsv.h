// Tab-separated values as IANA's text/tab-separated-values defines them: a header line with the
// names of the columns, then a line a row, with tabs between its fields. Nothing is quoted and
// nothing is escaped: a quotation mark or a backslash stands for itself, and no field has a tab or
// a line end in it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace gist {

/// Whether the path says so: *.tsv, compressed or not.
bool is_tsv(std::string_view path);

/// The names of the columns. Throws Error(data), naming the line, where one is empty, given twice,
/// or no UTF-8.
std::vector<std::string> tsv_columns(std::string_view header, const std::string& where,
                                     std::uint64_t line);

/// A row as the text of a JSON object of strings, in the order of the columns. Throws Error(data),
/// naming the line, where it has more or fewer fields than there are columns.
std::string tsv_record(std::string_view row, const std::vector<std::string>& columns,
                       const std::string& where, std::uint64_t line);

}  // namespace gist
