// Small rules about text that all formats share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace gist {

/// Bytes of the well-formed UTF-8 character (no overlong forms, no surrogates) at the start of a
/// text that isn't empty; 0 where there is none.
std::size_t character_bytes(std::string_view text);

/// Whether the bytes are well-formed UTF-8 (no overlong forms, no surrogates).
bool valid_utf8(std::string_view text);

/// What stands between the separators: one part more than there are separators.
std::vector<std::string> split(std::string_view text, char separator);

/// Throws Error(data), naming the line, where the text starts with a byte order mark.
void refuse_byte_order_mark(std::string_view text, const std::string& where, std::uint64_t line);

/// For messages: the text as a JSON string on one line, cut after about a hundred bytes.
std::string in_quotes(std::string_view text);

}  // namespace gist
