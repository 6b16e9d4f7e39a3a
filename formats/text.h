// Small rules about text that all formats share.
#pragma once

#include <string>
#include <string_view>

namespace gist {

/// Whether the bytes are well-formed UTF-8 (no overlong forms, no surrogates).
bool valid_utf8(std::string_view text);

/// For messages: the text as a JSON string on one line, cut after about a hundred bytes.
std::string in_quotes(std::string_view text);

}  // namespace gist
