// Unicode normalisation (Standard Annex 15) in time that grows with the text alone, however many
// combining marks stand in a row.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace gist {

enum class NormalizationForm : std::uint8_t { nfc, nfd, nfkc, nfkd };

/// The well-formed UTF-8 text in that form.
std::string normalized(std::string_view text, NormalizationForm form);

}  // namespace gist
