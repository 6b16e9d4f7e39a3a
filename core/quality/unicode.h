// Characters beyond ASCII, for the metrics that compare words as they are written: classes and
// lower case as Python 3.11's str has them (Unicode 14.0), so that scores equal those of Python
// programs.
#pragma once

#include <string>
#include <string_view>

namespace gist {

/// The text's code points. What is not UTF-8 becomes U+FFFD as in Python's
/// decode(errors="replace"): one for each longest part of a valid sequence, else one for each byte.
std::u32string decode_utf8(std::string_view text);

bool is_white_space(char32_t c);  // str.isspace()
bool is_word(char32_t c);         // str.isalnum(): letters, digits and other numbers
bool is_digit(char32_t c);        // str.isdecimal()
bool is_upper(char32_t c);        // has a lower case

/// str.lower(), U+0130 (two code points) included. A sigma that ends a word becomes U+03C2, where
/// white space, punctuation or the text's end ends a word; Python's rule differs after and before
/// rare marks.
std::u32string lower_case(std::u32string_view text);

}  // namespace gist
