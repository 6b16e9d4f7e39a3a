#include "formats/sequences/completion_text.h"

#include <algorithm>

namespace gist {
namespace {

constexpr std::string_view replacement_character = "\xEF\xBF\xBD";

}  // namespace

std::string completion_text(const Tokenizer& tokenizer, const Context& context,
                            std::span<const std::int32_t> ids) {
  if (!context.text_bytes) return tokenizer.decode(ids);
  std::vector<std::int32_t> all = context.sequence.ids;
  all.insert(all.end(), ids.begin(), ids.end());
  return tokenizer.decode(all).substr(*context.text_bytes);
}

std::size_t find_stop(std::string_view text, std::span<const std::string> stops) {
  std::size_t first = std::string_view::npos;
  for (const std::string& stop : stops) first = std::min(first, text.find(stop));
  return first;
}

std::size_t settled_bytes(std::string_view text, std::span<const std::string> stops) {
  while (text.ends_with(replacement_character)) text.remove_suffix(replacement_character.size());
  std::size_t settled = text.size();
  for (const std::string& stop : stops) {
    std::size_t overlap = std::min(stop.size(), text.size());
    while (overlap > 0 && !stop.starts_with(text.substr(text.size() - overlap))) --overlap;
    settled = std::min(settled, text.size() - overlap);
  }
  return settled;
}

}  // namespace gist
