// Base64 (RFC 4648, section 4), padded, by OpenSSL.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace gist {

std::string base64(std::span<const std::uint8_t> bytes);

/// The bytes that base64() writes so; nothing for any other text.
std::optional<std::string> bytes_of_base64(std::string_view text);

}  // namespace gist
