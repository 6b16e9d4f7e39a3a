// Times in messages, in words.
#pragma once

#include <string>

#include "formats/files/text.h"  // counted

namespace gist {

/// "less than a second", "14 s", "3 min", "2 h 10 min", "3 days 4 h".
std::string duration_in_words(double seconds);

}  // namespace gist
