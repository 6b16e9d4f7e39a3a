// The decoder of a tokenizer.json: how tokens become text again.
#pragma once

#include <cstddef>
#include <string>
#include <variant>
#include <vector>

#include "formats/tokenizer_json/json_part.h"
#include "formats/tokenizer_json/metaspace.h"
#include "formats/tokenizer_json/text_pattern.h"

namespace gist {

class TokenDecoder {
 public:
  /// null puts a space between tokens. Throws Error(data) for what gist doesn't know.
  explicit TokenDecoder(const JsonPart& part);

  /// Whether the token spells a byte that may, with those behind it, become another text than alone.
  bool is_unsettled(const std::string& token) const;

  /// What the tokens' texts become.
  std::string decode(std::vector<std::string> tokens) const;

 private:
  /// Bytes, spelled by characters (byte_alphabet.h).
  struct ByteLevel {};
  /// Bytes, spelled <0x00> to <0xFF>.
  struct ByteFallback {};
  struct Fuse {};
  struct Replace {
    TextPattern pattern;
    std::string content;
  };
  /// Takes up to so many of a character off each token's ends.
  struct Strip {
    std::string character;
    std::size_t start, stop;
  };
  using Step = std::variant<ByteLevel, ByteFallback, Fuse, Replace, Strip, MetaspaceSettings>;
  using Tokens = std::vector<std::string>;

  void read(const JsonPart& part, int depth);
  static void apply_step(const ByteLevel&, Tokens& tokens);
  static void apply_step(const ByteFallback&, Tokens& tokens);
  static void apply_step(const Fuse&, Tokens& tokens);
  static void apply_step(const Replace& replace, Tokens& tokens);
  static void apply_step(const Strip& strip, Tokens& tokens);
  static void apply_step(const MetaspaceSettings& metaspace, Tokens& tokens);

  bool spaces_between_ = false;
  bool byte_fallback_ = false;
  std::vector<Step> steps_;
};

}  // namespace gist
