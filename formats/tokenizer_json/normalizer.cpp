#include "formats/tokenizer_json/normalizer.h"

#include <utf8proc.h>

#include <algorithm>
#include <map>
#include <optional>

#include "core/utf8.h"
#include "formats/files/base64.h"
#include "formats/files/text.h"
#include "formats/tokenizer_json/unicode.h"
#include "kernels/error.h"

namespace gist {
namespace {

constexpr const char* known_normalizers =
    "Sequence, NFC, NFD, NFKC, NFKD, Lowercase, Prepend, Replace, Strip and Precompiled";

std::size_t first_character_bytes(const std::string& text) {
  return text.empty() ? 0 : first_character(text).bytes;
}

/// Bytes of the first grapheme cluster (Unicode Standard Annex 29).
std::size_t grapheme_bytes(std::string_view text) {
  std::string_view rest = text;
  char32_t last = 0;
  next_character(rest, last);
  utf8proc_int32_t state = 0;
  while (!rest.empty()) {
    char32_t c = 0;
    std::string_view after = rest;
    next_character(after, c);
    if (utf8proc_grapheme_break_stateful(static_cast<utf8proc_int32_t>(last),
                                         static_cast<utf8proc_int32_t>(c), &state)) {
      break;
    }
    last = c;
    rest = after;
  }
  return text.size() - rest.size();
}

std::shared_ptr<const Charsmap> charsmap_in(const JsonPart& part) {
  const JsonPart map = part.member("precompiled_charsmap");
  if (map.is_null()) return nullptr;
  const std::optional<std::string> bytes = bytes_of_base64(map.text());
  if (!bytes) map.refuse("base64");
  if (bytes->empty()) return nullptr;
  std::string fault;
  auto charsmap = Charsmap::open(*bytes, fault);
  if (!charsmap) fail(ErrorKind::data, "{}: {}", map.place(), fault);
  return std::make_shared<const Charsmap>(std::move(*charsmap));
}

}  // namespace

Normalizer::Normalizer(const JsonPart& part) {
  if (!part.is_null()) read(part, 0);
}

void Normalizer::read(const JsonPart& part, int depth) {
  static const std::map<std::string, NormalizationForm> forms = {{"NFC", NormalizationForm::nfc},
                                                                 {"NFD", NormalizationForm::nfd},
                                                                 {"NFKC", NormalizationForm::nfkc},
                                                                 {"NFKD", NormalizationForm::nfkd}};
  const std::string type = part.type();
  if (type == "Sequence") {
    part.allow({"type", "normalizers"});
    if (depth == deepest_sequence) part.refuse("sequences that aren't nested this deep");
    for (const JsonPart& each : part.member("normalizers").items()) read(each, depth + 1);
  } else if (const auto form = forms.find(type); form != forms.end()) {
    part.allow({"type"});
    steps_.emplace_back(form->second);
  } else if (type == "Lowercase") {
    part.allow({"type"});
    steps_.emplace_back(Lowercase{});
  } else if (type == "Prepend") {
    part.allow({"type", "prepend"});
    steps_.emplace_back(Prepend{part.member("prepend").text()});
  } else if (type == "Replace") {
    part.allow({"type", "pattern", "content"});
    steps_.emplace_back(
        Replace{TextPattern(part.member("pattern")), part.member("content").text()});
  } else if (type == "Strip") {
    part.allow({"type", "strip_left", "strip_right"});
    steps_.emplace_back(Strip{part.member("strip_left").flag(), part.member("strip_right").flag()});
  } else if (type == "Precompiled") {
    part.allow({"type", "precompiled_charsmap"});
    if (Map map = charsmap_in(part)) steps_.emplace_back(std::move(map));
  } else {
    part.refuse_type(known_normalizers);
  }
}

void Normalizer::apply(NormalText& text) const {
  for (const Step& step : steps_) {
    if (text.text.empty()) return;
    std::visit([&text](const auto& each) { apply_step(each, text); }, step);
  }
}

void Normalizer::apply_step(NormalizationForm form, NormalText& text) {
  text.text = normalized(text.text, form);
  if (text.first_bytes > 0) text.first_bytes = first_character_bytes(text.text);
}

void Normalizer::apply_step(const Lowercase&, NormalText& text) {
  std::string lower;
  lower.reserve(text.text.size());
  for (std::string_view rest = text.text; !rest.empty();) {
    char32_t c = 0;
    next_character(rest, c);
    append_utf8(static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c))), lower);
    // The one character whose lower case is two; utf8proc gives the first of them.
    if (c == 0x130) append_utf8(0x307, lower);
  }
  text.text = std::move(lower);
  if (text.first_bytes > 0) text.first_bytes = first_character_bytes(text.text);
}

void Normalizer::apply_step(const Prepend& prepend, NormalText& text) {
  text.text.insert(0, prepend.text);
  if (text.first_bytes > 0) text.first_bytes += prepend.text.size();
}

void Normalizer::apply_step(const Replace& replace, NormalText& text) {
  std::vector<Span> matches;
  replace.pattern.find_all(text.text, matches);
  if (matches.empty()) return;
  std::string result;
  std::size_t copied = 0;
  std::size_t first_bytes = 0;  // of the result; what replaces a match stands for its last byte
  for (const Span& match : matches) {
    const std::size_t kept = std::min(match.begin, std::max(copied, text.first_bytes)) - copied;
    if (copied < text.first_bytes) first_bytes += kept;
    if (match.end <= text.first_bytes) first_bytes += replace.content.size();
    result.append(text.text, copied, match.begin - copied);
    result += replace.content;
    copied = match.end;
  }
  if (copied < text.first_bytes) first_bytes += text.first_bytes - copied;
  result.append(text.text, copied);
  text.text = std::move(result);
  text.first_bytes = first_bytes;
}

void Normalizer::apply_step(const Strip& strip, NormalText& text) {
  if (strip.right) text.text.resize(text.text.size() - white_space_at_end(text.text));
  if (strip.left) {
    const std::size_t bytes = white_space_at_start(text.text);
    text.text.erase(0, bytes);
    text.first_bytes -= std::min(text.first_bytes, bytes);
  }
  text.first_bytes = std::min(text.first_bytes, text.text.size());
}

// As PyPI's tokenizers does: a short cluster of characters is looked up as one, and becomes what
// the shortest beginning that the map knows of becomes; of others each character by itself.
void Normalizer::apply_step(const Map& map, NormalText& text) {
  constexpr std::size_t longest_cluster = 5;  // bytes
  std::string result;
  result.reserve(text.text.size());
  for (std::string_view rest = text.text; !rest.empty();) {
    const std::string_view cluster = rest.substr(0, grapheme_bytes(rest));
    rest.remove_prefix(cluster.size());
    if (cluster.size() <= longest_cluster) {
      if (const auto whole = map->shortest(cluster)) {
        result += *whole;
        continue;
      }
    }
    for (std::string_view left = cluster; !left.empty();) {
      char32_t c = 0;
      const std::string_view character = next_character(left, c);
      result += map->shortest(character).value_or(character);
    }
  }
  text.text = std::move(result);
  if (text.first_bytes > 0) text.first_bytes = first_character_bytes(text.text);
}

}  // namespace gist
