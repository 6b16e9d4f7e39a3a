// Copy accuracy is the share of a reference's numbers and names that stand in a completion, too:
// gists lose these first.
#pragma once

#include <cstdint>
#include <string_view>

namespace gist {

/// Counts that can be added up over records; copied / all is the copy accuracy.
struct CopyCounts {
  std::uint64_t numbers = 0;         // of the reference
  std::uint64_t numbers_copied = 0;  // of these, in the completion
  std::uint64_t names = 0;
  std::uint64_t names_copied = 0;

  CopyCounts& operator+=(const CopyCounts& other);
};

/// Counts a reference's numbers and names, and those of them that stand in the completion,
/// anywhere, spelled alike. One that the reference has n times counts n times, and as copied as
/// often as the completion has it, n times at most. Texts are UTF-8; what isn't separates words.
///
/// - A word is a run of letters and digits (any script's), of `'` `’` `.` `-` `_` between two of
///   them, and of `,` `:` `/` between two digits: `3.14`, `1,000`, `12:30`, `O'Neill`, `U.S`. A `-`
///   before a digit and after no word is its sign. A possessive `'s` is left out.
/// - A number is a word with a digit: `7`, `-3`, `2nd`, `A4`, `2024-01-31`. `$5` and `5%` have `5`.
/// - A name is another word whose first letter is upper case, except `I` and its contractions. At
///   the start of a sentence every word is upper case: there it is a name only if it has a second
///   upper-case letter (`NASA`, `McDonald`) or is a name elsewhere in the reference. (So an answer
///   that is the one word `Paris` has no name: exact match says what became of it.)
/// - A sentence starts with the text or a line, and after `.` `!` `?` `:` `…` or a quotation mark
///   (but a closing typographic one), though not after the full stop of `Mr`, `Mrs`, `Ms`, `Dr`,
///   `Prof`, `St`, `Jr`, `Sr`, a single upper-case letter, or a word with a stop inside (`U.S.`).
CopyCounts copy_counts(std::string_view completion, std::string_view reference);

}  // namespace gist
