// These tables hold what unicode.h says of code points from U+0080 on.
#pragma once

#include <cstdint>
#include <span>

namespace gist {

struct CodePoints {
  std::uint32_t first, last;
};

/// Every `step`-th of these has first + offset as the first's lower case, and so on.
struct LowerCase {
  std::uint32_t first, last, step;
  std::int32_t offset;
};

// All in ascending order, without overlaps.
extern const std::span<const CodePoints> word_code_points;   // letters, digits and other numbers
extern const std::span<const CodePoints> digit_code_points;  // decimal digits
extern const std::span<const LowerCase> lower_cases;         // of one code point each

}  // namespace gist
