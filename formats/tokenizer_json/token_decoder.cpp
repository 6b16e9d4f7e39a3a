#include "formats/tokenizer_json/token_decoder.h"

#include <charconv>
#include <optional>
#include <utility>

#include "formats/files/text.h"
#include "formats/tokenizer_json/byte_alphabet.h"
#include "formats/tokenizer_json/unicode.h"

namespace gist {
namespace {

constexpr const char* known_decoders =
    "Sequence, ByteLevel, ByteFallback, Metaspace, Replace, Fuse and Strip";
constexpr std::int64_t most_stripped = 1 << 20;

std::string joined(const std::vector<std::string>& tokens, std::string_view between) {
  std::string text;
  for (const std::string& token : tokens) {
    if (&token != &tokens.front()) text += between;
    text += token;
  }
  return text;
}

/// Of <0x00> to <0xFF>.
std::optional<char> byte_of_token(const std::string& token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token.back() != '>') return std::nullopt;
  unsigned byte = 0;
  const char* const end = token.data() + 5;
  const auto [stop, error] = std::from_chars(token.data() + 3, end, byte, 16);
  if (error != std::errc() || stop != end) return std::nullopt;
  return static_cast<char>(byte);
}

/// The bytes that a token spells; nothing where some character of it stands for none.
std::optional<std::string> spelled_bytes(std::string_view token) {
  std::string bytes;
  while (!token.empty()) {
    char32_t c = 0;
    next_character(token, c);
    const std::optional<unsigned char> byte = byte_of_character(c);
    if (!byte) return std::nullopt;
    bytes += static_cast<char>(*byte);
  }
  return bytes;
}

}  // namespace

TokenDecoder::TokenDecoder(const JsonPart& part) : spaces_between_(part.is_null()) {
  if (!part.is_null()) read(part, 0);
}

void TokenDecoder::read(const JsonPart& part, int depth) {
  const std::string type = part.type();
  if (type == "Sequence") {
    part.allow({"type", "decoders"});
    if (depth == deepest_sequence) part.refuse("sequences that aren't nested this deep");
    for (const JsonPart& each : part.member("decoders").items()) read(each, depth + 1);
  } else if (type == "ByteLevel") {
    part.allow({"type", "add_prefix_space", "trim_offsets", "use_regex"});
    steps_.emplace_back(ByteLevel{});
  } else if (type == "ByteFallback") {
    part.allow({"type"});
    steps_.emplace_back(ByteFallback{});
    byte_fallback_ = true;
  } else if (type == "Metaspace") {
    steps_.emplace_back(metaspace_settings(part));
  } else if (type == "Replace") {
    part.allow({"type", "pattern", "content"});
    steps_.emplace_back(
        Replace{TextPattern(part.member("pattern")), part.member("content").text()});
  } else if (type == "Fuse") {
    part.allow({"type"});
    steps_.emplace_back(Fuse{});
  } else if (type == "Strip") {
    part.allow({"type", "content", "start", "stop"});
    const auto count = [&](const char* name) {
      return static_cast<std::size_t>(part.member(name).integer(0, most_stripped));
    };
    steps_.emplace_back(Strip{part.member("content").character(), count("start"), count("stop")});
  } else {
    part.refuse_type(known_decoders);
  }
}

bool TokenDecoder::is_unsettled(const std::string& token) const {
  return byte_fallback_ && byte_of_token(token).has_value();
}

std::string TokenDecoder::decode(std::vector<std::string> tokens) const {
  for (const Step& step : steps_) {
    std::visit([&tokens](const auto& each) { apply_step(each, tokens); }, step);
  }
  return joined(tokens, spaces_between_ ? " " : "");
}

void TokenDecoder::apply_step(const ByteLevel&, Tokens& tokens) {
  std::string bytes;
  for (const std::string& token : tokens) bytes += spelled_bytes(token).value_or(token);
  tokens = {lossy_utf8(bytes)};
}

void TokenDecoder::apply_step(const ByteFallback&, Tokens& tokens) {
  Tokens result;
  std::string bytes;  // of tokens in a row
  const auto flush = [&] {
    if (valid_utf8(bytes)) {
      if (!bytes.empty()) result.push_back(bytes);
    } else {
      result.insert(result.end(), bytes.size(), "\xEF\xBF\xBD");
    }
    bytes.clear();
  };
  for (std::string& token : tokens) {
    if (const std::optional<char> byte = byte_of_token(token)) {
      bytes += *byte;
    } else {
      flush();
      result.push_back(std::move(token));
    }
  }
  flush();
  tokens = std::move(result);
}

void TokenDecoder::apply_step(const Fuse&, Tokens& tokens) {
  tokens = {joined(tokens, "")};
}

void TokenDecoder::apply_step(const Replace& replace, Tokens& tokens) {
  std::vector<Span> matches;
  for (std::string& token : tokens) {
    matches.clear();
    replace.pattern.find_all(token, matches);
    for (auto match = matches.rbegin(); match != matches.rend(); ++match) {
      token.replace(match->begin, match->end - match->begin, replace.content);
    }
  }
}

void TokenDecoder::apply_step(const Strip& strip, Tokens& tokens) {
  for (std::string& token : tokens) {
    std::string_view rest = token;
    for (std::size_t i = 0; i < strip.start && rest.starts_with(strip.character); ++i) {
      rest.remove_prefix(strip.character.size());
    }
    for (std::size_t i = 0; i < strip.stop && rest.ends_with(strip.character); ++i) {
      rest.remove_suffix(strip.character.size());
    }
    token = std::string(rest);
  }
}

// Of the first token all spaces are left out, as PyPI's tokenizers does.
void TokenDecoder::apply_step(const MetaspaceSettings& metaspace, Tokens& tokens) {
  const bool drops = metaspace.prepend != MetaspaceSettings::Prepend::never;
  for (std::string& token : tokens) {
    const std::string_view space = drops && &token == &tokens.front() ? "" : " ";
    std::string result;
    std::size_t copied = 0;
    for (std::size_t at = 0; (at = token.find(metaspace.replacement, at)) != std::string::npos;) {
      result.append(token, copied, at - copied).append(space);
      copied = at += metaspace.replacement.size();
    }
    token = result.append(token, copied);
  }
}

}  // namespace gist
