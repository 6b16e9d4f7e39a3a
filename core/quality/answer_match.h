// This file measures how near a completion is to its reference as a whole (exact match, token F1),
// and how long it is. Texts are UTF-8; what isn't counts as U+FFFD.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace gist {

/// Whether a completion is its reference, apart from ASCII white space around them.
bool exact_match(std::string_view completion, std::string_view reference);

/// A text as SQuAD's evaluation compares it (Rajpurkar, Jia and Liang 2018, evaluate-v2.0.py):
/// lower case, without ASCII punctuation, without the words "a", "an" and "the", words separated by
/// one space.
std::string normalized_answer(std::string_view text);

/// F1, 0 to 1, of the normalised texts' words as multisets, as that program computes it. Both
/// without words: 1; one: 0. The order of the two makes no difference.
double token_f1(std::string_view completion, std::string_view reference);

/// Words between white space, as Python's str.split() finds them.
std::size_t word_count(std::string_view text);

}  // namespace gist
