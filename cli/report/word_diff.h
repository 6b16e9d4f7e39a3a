// A word diff marks where a text differs from another, word by word.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "cli/report/html.h"

namespace gist {

struct DiffPart {
  enum class Kind : std::uint8_t { same, added, missing } kind = Kind::same;
  std::string_view text;  // words with the white space between and behind them
};

/// The parts of `text` in order, `same` and `added`, and between them those of `reference` that it
/// lacks. Words are what white space separates; as many as possible are the same, in their order.
/// Views are of the two texts. For m and n words it takes m n steps and bytes: at most
/// `most_cells`; longer texts are compared at both ends only, and what is between differs as a
/// whole.
std::vector<DiffPart> word_diff(std::string_view text, std::string_view reference,
                                std::size_t most_cells = std::size_t{1} << 22);

/// Added words are <ins>, missing ones <del>.
Html diff_html(std::string_view text, std::string_view reference);

}  // namespace gist
