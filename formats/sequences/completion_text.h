// Completions as text: token ids back to words, and stop strings.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "formats/model/tokenizer.h"
#include "formats/sequences/context.h"

namespace gist {

/// Returns what the ids add to the context's text: of a {"text"} record exactly what follows it, of
/// others the decoded ids.
std::string completion_text(const Tokenizer& tokenizer, const Context& context,
                            std::span<const std::int32_t> ids);

/// Returns where the first of the stop strings begins; npos where the text has none.
std::size_t find_stop(std::string_view text, std::span<const std::string> stops);

/// Returns how many bytes of an unfinished text will stay as they are. Not among them are an
/// incomplete character at the end (which decodes to U+FFFD), nor what may be the beginning of a
/// stop string.
std::size_t settled_bytes(std::string_view text, std::span<const std::string> stops);

}  // namespace gist
