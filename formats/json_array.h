// A JSON array of records, taken apart without being parsed: each element keeps its text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace gist {

/// An element: the bytes [begin, end) of the array's text, without white space around them.
struct ArrayElement {
  std::size_t begin = 0;
  std::size_t end = 0;
  std::uint64_t line = 0;  // where it begins, counted from 1
};

/// The elements of the one array that takes the whole text. Throws Error(data),
/// "WHERE:LINE:COLUMN: what is wrong", where commas, brackets or quotes don't make an array, or
/// something follows it. What an element is made of is checked no further: parse_json does that.
std::vector<ArrayElement> elements_of_array(std::string_view text, const std::string& where);

/// The same JSON without line ends: those stand between its tokens only, where a space does as
/// well. Text that has none is returned as it is.
std::string on_one_line(std::string json);

}  // namespace gist
