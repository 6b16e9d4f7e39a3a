#include "formats/tokenizer_json/post_processor.h"

#include "formats/tokenizer_json/piece_table.h"

namespace gist {
namespace {

constexpr const char* known_processors = "Sequence, ByteLevel and TemplateProcessing";

/// {"SpecialToken": {"id": "<s>", ...}}: its ids stand under that name in "special_tokens".
void add_special_token(const JsonPart& token, const JsonPart& special_tokens,
                       std::vector<std::int32_t>& ids) {
  const std::string name = token.member("id").text();
  const JsonPart found = special_tokens.member(name.c_str());
  if (found.is_null()) token.refuse("a token that \"special_tokens\" has");
  for (const JsonPart& id : found.member("ids").items()) {
    ids.push_back(static_cast<std::int32_t>(id.integer(0, most_tokens)));
  }
}

/// "single": what becomes of one text, {"Sequence": {"id": "A"}}.
void read_template(const JsonPart& part, SurroundingTokens& tokens) {
  part.allow({"type", "single", "pair", "special_tokens"});
  const JsonPart single = part.member("single");
  std::vector<std::int32_t> before, after;
  bool seen = false;
  for (const JsonPart& piece : single.items()) {
    piece.allow({"SpecialToken", "Sequence"});
    const JsonPart token = piece.member("SpecialToken");
    if (!token.is_null()) {
      add_special_token(token, part.member("special_tokens"), seen ? after : before);
    } else {
      if (seen || piece.member("Sequence").member("id").text() != "A") {
        single.refuse("a template that has the text once");
      }
      seen = true;
    }
  }
  if (!seen) single.refuse("a template that has the text once");
  tokens.before.insert(tokens.before.begin(), before.begin(), before.end());
  tokens.after.insert(tokens.after.end(), after.begin(), after.end());
}

void read_processor(const JsonPart& part, SurroundingTokens& tokens, int depth) {
  const std::string type = part.type();
  if (type == "Sequence") {
    part.allow({"type", "processors"});
    if (depth == deepest_sequence) part.refuse("sequences that aren't nested this deep");
    for (const JsonPart& each : part.member("processors").items())
      read_processor(each, tokens, depth + 1);
  } else if (type == "TemplateProcessing") {
    read_template(part, tokens);
  } else if (type != "ByteLevel") {  // which moves offsets only
    part.refuse_type(known_processors);
  }
}

}  // namespace

SurroundingTokens surrounding_tokens(const JsonPart& post_processor) {
  SurroundingTokens tokens;
  if (!post_processor.is_null()) read_processor(post_processor, tokens, 0);
  return tokens;
}

}  // namespace gist
