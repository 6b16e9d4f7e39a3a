// Numbers in messages, in words.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace gist {

/// "1 record", "2 records", "12,000 records".
std::string counted(std::uint64_t count, std::string_view noun);

/// "less than a second", "14 s", "3 min", "2 h 10 min", "3 days 4 h".
std::string duration_in_words(double seconds);

}  // namespace gist
