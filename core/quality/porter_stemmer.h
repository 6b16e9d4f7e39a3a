// Word stems: Porter's algorithm (M. F. Porter 1980, "An algorithm for suffix stripping") with the
// differences that NLTK's PorterStemmer makes in its default mode, NLTK_EXTENSIONS. Snowball's
// "porter" and "english" are other algorithms.
#pragma once

#include <cstddef>
#include <span>

namespace gist {

/// Turns a word of lower-case ASCII letters and digits (which count as consonants) into its stem,
/// in place: the result's length, never more than the word's. Words of one and two characters are
/// their own stems. Takes time linear in the word's length.
std::size_t porter_stem(std::span<char> word);

}  // namespace gist
