// How a record becomes a sequence: a JSON list of pieces, split at the gist, so that a prompt
// compressed today and an input that comes tomorrow are tokenised exactly as if they stood
// together.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "core/batch.h"
#include "core/gist_ids.h"
#include "formats/model/tokenizer.h"

namespace gist {

/// Gives the value of a record's field; throws Error(data) where the record lacks it.
using FieldLookup = std::function<std::string(std::string_view name)>;

class PromptTemplate {
 public:
  /// Throws Error(data): `where` (a path) and the piece that is wrong. A template has exactly one
  /// gist.
  static PromptTemplate parse(const nlohmann::json& pieces, const std::string& where);

  const nlohmann::json& json() const { return json_; }
  /// Whether the template has a field of this name.
  bool reads(std::string_view field) const;

  /// Throws Error(data) where the tokenizer lacks a token that each record would need: bos, eos or
  /// a "token".
  void require_tokens(const Tokenizer& tokenizer) const;

  /// What stands before the gist, and after it. A text part is encoded on its own; where all its
  /// fields are empty its "else" text takes its place, or nothing. The names in braces are looked
  /// up; "{{" and "}}" are braces. White space goes by "strip": "text" (the default) takes ASCII
  /// white space off the part's ends, "fields" takes Unicode's off the ends of each field's value,
  /// "none" takes nothing off. A "token" must be in the tokenizer (else Error(data)); a "piece"
  /// that isn't there is left out.
  std::vector<std::int32_t> before_gist(const Tokenizer& tokenizer, const FieldLookup& field) const;
  std::vector<std::int32_t> after_gist(const Tokenizer& tokenizer, const FieldLookup& field) const;
  /// The whole as a person would write it: tokens by their names, bos as <s>, eos as </s>, one
  /// gist.
  std::string shown(const FieldLookup& field) const;

 private:
  /// Literal text, or a field of the record to put in its place.
  struct Fragment {
    bool is_field = false;
    std::string text;  // the literal, or the field's name
  };
  using Pattern = std::vector<Fragment>;
  enum class Strip : std::uint8_t { text, fields, none };
  struct Piece {
    enum class Kind : std::uint8_t { bos, eos, token, piece, text } kind = Kind::text;
    std::string name;  // of a token or a piece
    Pattern text;
    Strip strip = Strip::text;
    std::optional<Pattern> otherwise;  // "else"
  };
  static Piece parse_piece(const nlohmann::json& piece, const std::string& place);
  static Strip parse_strip(const nlohmann::json& piece, const std::string& place);
  static Pattern parse_pattern(const std::string& text, const std::string& place);
  /// The token of a piece that isn't text; nothing where a "piece" is not in the tokenizer.
  static std::optional<std::int32_t> token_of(const Piece& piece, const Tokenizer& tokenizer);
  static std::vector<std::int32_t> encode(const std::vector<Piece>& pieces,
                                          const Tokenizer& tokenizer, const FieldLookup& field);
  static std::string expand(const Piece& piece, const FieldLookup& field);

  nlohmann::json json_;
  std::vector<Piece> before_, after_;
};

/// before, k gist tokens, after, with its gist interval (none where k is 0). Of distinct ids there
/// are at least k.
Sequence join(const std::vector<std::int32_t>& before, const GistIds& gist_ids, std::int32_t k,
              const std::vector<std::int32_t>& after);

/// What a model is to answer, of which the loss is taken: enc(answer), and what ends an answer.
std::vector<std::int32_t> answer_tokens(std::string_view answer, const Tokenizer& tokenizer,
                                        std::optional<std::int32_t> end);

/// The text without leading and trailing ASCII white space.
std::string_view strip(std::string_view text);

}  // namespace gist
