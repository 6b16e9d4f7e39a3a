#include "formats/model/prompt_template.h"

#include <algorithm>
#include <utility>

#include "core/quality/unicode.h"
#include "formats/files/json_text.h"
#include "formats/files/text.h"
#include "kernels/error.h"

namespace gist {
namespace {

constexpr std::string_view ascii_white_space = " \t\n\v\f\r";

std::int32_t required(std::optional<std::int32_t> id, std::string_view name,
                      const Tokenizer& tokenizer) {
  if (!id) {
    fail(ErrorKind::data,
         "{}: has no {} token, which the template asks for; give a template without",
         tokenizer.path().string(), name);
  }
  return *id;
}

/// Strips as Python's str.strip and Jinja's trim do.
std::string strip_unicode(std::string_view text) {
  std::string_view rest = text;
  std::size_t begin = text.size(), end = 0;
  while (!rest.empty()) {
    const std::size_t at = text.size() - rest.size();
    char32_t c = 0;
    next_character(rest, c);
    if (is_white_space(c)) continue;
    begin = std::min(begin, at);
    end = text.size() - rest.size();
  }
  return begin < end ? std::string(text.substr(begin, end - begin)) : "";
}

}  // namespace

std::vector<std::int32_t> answer_tokens(std::string_view answer, const Tokenizer& tokenizer,
                                        std::optional<std::int32_t> end) {
  std::vector<std::int32_t> tokens = tokenizer.encode(answer);
  if (end) tokens.push_back(*end);
  return tokens;
}

std::string_view strip(std::string_view text) {
  const std::size_t first = text.find_first_not_of(ascii_white_space);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(ascii_white_space) - first + 1);
}

PromptTemplate PromptTemplate::parse(const nlohmann::json& pieces, const std::string& where) {
  if (!pieces.is_array()) {
    fail(ErrorKind::data, "{}: a template should be a list of pieces, not {}", where,
         pieces.type_name());
  }
  PromptTemplate result;
  result.json_ = pieces;
  int gists = 0;
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    if (pieces[i] == "gist") {
      ++gists;
      continue;
    }
    const std::string place = fmt::format("{}: template piece {}", where, i + 1);
    (gists == 0 ? result.before_ : result.after_).push_back(parse_piece(pieces[i], place));
  }
  if (gists != 1) {
    fail(ErrorKind::data, "{}: a template should have one \"gist\", found {}", where, gists);
  }
  return result;
}

PromptTemplate::Piece PromptTemplate::parse_piece(const nlohmann::json& piece,
                                                  const std::string& place) {
  Piece result;
  if (piece == "bos") {
    result.kind = Piece::Kind::bos;
  } else if (piece == "eos") {
    result.kind = Piece::Kind::eos;
  } else if (piece.is_object() && piece.size() == 1 && piece.contains("piece")) {
    result.kind = Piece::Kind::piece;
    result.name = text_member(piece, "piece", place);
  } else if (piece.is_object() && piece.size() == 1 && piece.contains("token")) {
    result.kind = Piece::Kind::token;
    result.name = text_member(piece, "token", place);
  } else if (piece.is_object() && piece.contains("text") &&
             piece.size() == 1 + piece.count("else") + piece.count("strip")) {
    result.kind = Piece::Kind::text;
    if (piece.contains("strip")) result.strip = parse_strip(piece, place);
    result.text = parse_pattern(text_member(piece, "text", place), place);
    if (piece.contains("else")) {
      result.otherwise = parse_pattern(text_member(piece, "else", place), place);
    }
  } else {
    fail(ErrorKind::data,
         "{}: should be \"bos\", \"eos\", \"gist\", {{\"token\": NAME}}, {{\"piece\": NAME}}, or "
         "{{\"text\": TEXT}} with \"else\" and \"strip\" where wanted; found {}",
         place, in_quotes(text_of_json(piece)));
  }
  return result;
}

PromptTemplate::Strip PromptTemplate::parse_strip(const nlohmann::json& piece,
                                                  const std::string& place) {
  const std::string& name = text_member(piece, "strip", place);
  if (name == "text") return Strip::text;
  if (name == "fields") return Strip::fields;
  if (name == "none") return Strip::none;
  fail(ErrorKind::data, "{}: \"strip\" should be \"text\", \"fields\" or \"none\", not {}", place,
       in_quotes(name));
}

PromptTemplate::Pattern PromptTemplate::parse_pattern(const std::string& text,
                                                      const std::string& place) {
  Pattern pattern;
  std::string literal;
  const auto end_literal = [&] {
    if (!literal.empty()) pattern.push_back({false, std::exchange(literal, {})});
  };
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c != '{' && c != '}') {
      literal += c;
    } else if (i + 1 < text.size() && text[i + 1] == c) {
      literal += c;
      ++i;
    } else {
      const std::size_t close = text.find_first_of("{}", i + 1);
      if (c == '}' || close == std::string::npos || text[close] == '{' || close == i + 1) {
        fail(ErrorKind::data,
             "{}: {} should name a field in each pair of braces; write {{{{ and }}}} for braces",
             place, in_quotes(text));
      }
      end_literal();
      pattern.push_back({true, text.substr(i + 1, close - i - 1)});
      i = close;
    }
  }
  end_literal();
  return pattern;
}

std::string PromptTemplate::expand(const Piece& piece, const FieldLookup& field) {
  const auto fill = [&](const Pattern& pattern) {
    std::string text;
    bool any_field = false, any_value = false;
    for (const Fragment& fragment : pattern) {
      std::string value = fragment.is_field ? field(fragment.text) : fragment.text;
      any_field = any_field || fragment.is_field;
      any_value = any_value || (fragment.is_field && !value.empty());
      if (fragment.is_field && piece.strip == Strip::fields) value = strip_unicode(value);
      text += value;
    }
    const bool empty = any_field && !any_value;
    return empty ? std::optional<std::string>() : std::optional(std::move(text));
  };
  std::optional<std::string> text = fill(piece.text);
  if (!text && piece.otherwise) text = fill(*piece.otherwise);
  if (!text) return "";
  return piece.strip == Strip::text ? std::string(gist::strip(*text)) : *text;
}

std::optional<std::int32_t> PromptTemplate::token_of(const Piece& piece,
                                                     const Tokenizer& tokenizer) {
  switch (piece.kind) {
    case Piece::Kind::bos:
      return required(tokenizer.bos(), "bos", tokenizer);
    case Piece::Kind::eos:
      return required(tokenizer.eos(), "eos", tokenizer);
    case Piece::Kind::token:
      return required(tokenizer.id_of_piece(piece.name), piece.name, tokenizer);
    case Piece::Kind::piece:
      return tokenizer.id_of_piece(piece.name);
    case Piece::Kind::text:
      break;
  }
  return std::nullopt;
}

void PromptTemplate::require_tokens(const Tokenizer& tokenizer) const {
  for (const std::vector<Piece>* pieces : {&before_, &after_}) {
    for (const Piece& piece : *pieces) token_of(piece, tokenizer);
  }
}

std::vector<std::int32_t> PromptTemplate::encode(const std::vector<Piece>& pieces,
                                                 const Tokenizer& tokenizer,
                                                 const FieldLookup& field) {
  std::vector<std::int32_t> ids;
  for (const Piece& piece : pieces) {
    if (piece.kind == Piece::Kind::text) {
      const std::vector<std::int32_t> part = tokenizer.encode(expand(piece, field));
      ids.insert(ids.end(), part.begin(), part.end());
    } else if (const auto id = token_of(piece, tokenizer)) {
      ids.push_back(*id);
    }
  }
  return ids;
}

std::string PromptTemplate::shown(const FieldLookup& field) const {
  const auto append = [&field](const std::vector<Piece>& pieces, std::string& text) {
    for (const Piece& piece : pieces) {
      switch (piece.kind) {
        case Piece::Kind::bos:
          text += "<s>";
          break;
        case Piece::Kind::eos:
          text += "</s>";
          break;
        case Piece::Kind::token:
        case Piece::Kind::piece:
          text += piece.name;
          break;
        case Piece::Kind::text:
          text += expand(piece, field);
          break;
      }
    }
  };
  std::string text;
  append(before_, text);
  text += Tokenizer::gist_token_name;
  append(after_, text);
  return text;
}

std::vector<std::int32_t> PromptTemplate::before_gist(const Tokenizer& tokenizer,
                                                      const FieldLookup& field) const {
  return encode(before_, tokenizer, field);
}

std::vector<std::int32_t> PromptTemplate::after_gist(const Tokenizer& tokenizer,
                                                     const FieldLookup& field) const {
  return encode(after_, tokenizer, field);
}

bool PromptTemplate::reads(std::string_view field) const {
  const auto in_pattern = [field](const Pattern& pattern) {
    return std::any_of(pattern.begin(), pattern.end(), [field](const Fragment& fragment) {
      return fragment.is_field && fragment.text == field;
    });
  };
  const auto in_piece = [&in_pattern](const Piece& piece) {
    return in_pattern(piece.text) || (piece.otherwise && in_pattern(*piece.otherwise));
  };
  return std::any_of(before_.begin(), before_.end(), in_piece) ||
         std::any_of(after_.begin(), after_.end(), in_piece);
}

Sequence join(const std::vector<std::int32_t>& before, const GistIds& gist_ids, std::int32_t k,
              const std::vector<std::int32_t>& after) {
  Sequence sequence;
  sequence.ids = before;
  if (gist_ids.distinct() && k > gist_ids.count) {
    fail(ErrorKind::internal, "{} gist tokens of {} ids", k, gist_ids.count);
  }
  for (std::int32_t i = 0; i < k; ++i) sequence.ids.push_back(gist_ids.at(i));
  if (k > 0) {
    const auto begin = static_cast<std::int32_t>(before.size());
    sequence.gists.push_back({begin, begin + k});
  }
  sequence.ids.insert(sequence.ids.end(), after.begin(), after.end());
  return sequence;
}

}  // namespace gist
