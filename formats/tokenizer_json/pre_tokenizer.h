// The pre-tokenizer of a tokenizer.json: where a text is cut into the words that the model sees.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "formats/tokenizer_json/json_part.h"
#include "formats/tokenizer_json/metaspace.h"
#include "formats/tokenizer_json/text_pattern.h"

namespace gist {

/// A text and its words, in order.
struct Words {
  std::string text;
  std::vector<Span> spans;
  std::size_t first_bytes = 0;  // how many bytes stand for the original text's first character
};

class PreTokenizer {
 public:
  /// null makes the whole text one word. Throws Error(data) for what gist doesn't know.
  explicit PreTokenizer(const JsonPart& part);

  /// Cuts the words further; what it adds to the text or replaces in it stands in the words only.
  void apply(Words& words) const;

  /// Whether a space is put before the text, where the file's one step is ByteLevel.
  const std::optional<bool>& byte_level_space() const { return byte_level_space_; }

 private:
  /// What becomes of that which a pattern matches.
  enum class Behavior : std::uint8_t {
    removed,
    isolated,
    merged_with_previous,
    merged_with_next,
    contiguous
  };
  struct Split {
    TextPattern pattern;
    Behavior behavior;
    bool invert;
  };
  /// At characters of a kind.
  struct CharacterSplit {
    bool (*matches)(char32_t);
    Behavior behavior;
  };
  struct ByteLevel {
    bool space_before, cuts;
    TextPattern pattern;  // GPT-2's
  };
  struct Metaspace {
    MetaspaceSettings settings;
    bool cuts;
  };
  using Step = std::variant<Split, CharacterSplit, ByteLevel, Metaspace>;

  static Behavior behavior_in(const JsonPart& part);
  static ByteLevel byte_level_in(const JsonPart& part);
  static Metaspace metaspace_in(const JsonPart& part);
  void read(const JsonPart& part, int depth);

  static void add_cut(Span word, const std::vector<Span>& matches, bool invert, Behavior behavior,
                      std::vector<Span>& spans);
  static void cut(Words& words, const TextPattern& pattern, bool invert, Behavior behavior);
  static void apply_step(const Split& split, Words& words);
  static void apply_step(const CharacterSplit& split, Words& words);
  static void apply_step(const ByteLevel& byte_level, Words& words);
  static void apply_step(const Metaspace& metaspace, Words& words);

  std::vector<Step> steps_;
  std::optional<bool> byte_level_space_;
};

}  // namespace gist
