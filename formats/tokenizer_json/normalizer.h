// The normalizer of a tokenizer.json: what is done to a text before it is cut into words.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "formats/model/charsmap.h"
#include "formats/tokenizer_json/json_part.h"
#include "formats/tokenizer_json/normalization_form.h"
#include "formats/tokenizer_json/text_pattern.h"

namespace gist {

/// A text under way. Some pre-tokenizers treat what stands at the text's very beginning in a way of
/// its own; so each step says how many bytes still stand for the original's first character.
struct NormalText {
  std::string text;
  std::size_t first_bytes = 0;
};

class Normalizer {
 public:
  /// null normalizes nothing. Throws Error(data) for what gist doesn't know.
  explicit Normalizer(const JsonPart& part);

  bool empty() const { return steps_.empty(); }
  void apply(NormalText& text) const;

 private:
  struct Lowercase {};
  struct Prepend {
    std::string text;
  };
  struct Replace {
    TextPattern pattern;
    std::string content;
  };
  struct Strip {
    bool left, right;
  };
  using Map = std::shared_ptr<const Charsmap>;
  using Step = std::variant<NormalizationForm, Lowercase, Prepend, Replace, Strip, Map>;

  void read(const JsonPart& part, int depth);
  static void apply_step(NormalizationForm form, NormalText& text);
  static void apply_step(const Lowercase&, NormalText& text);
  static void apply_step(const Prepend& prepend, NormalText& text);
  static void apply_step(const Replace& replace, NormalText& text);
  static void apply_step(const Strip& strip, NormalText& text);
  static void apply_step(const Map& map, NormalText& text);

  std::vector<Step> steps_;
};

}  // namespace gist
