#include "formats/model/json_vocabulary.h"

#include "formats/files/text.h"
#include "kernels/error.h"

namespace gist {
namespace {

std::optional<std::int32_t> only_one(const std::vector<std::int32_t>& ids) {
  return ids.empty() ? std::nullopt : std::optional(ids.front());
}

}  // namespace

JsonVocabulary::JsonVocabulary(const nlohmann::json& content, const std::filesystem::path& path)
    : tokenizer_(content, path.string()) {
  const SurroundingTokens& around = tokenizer_.surrounding();
  if (around.before.size() > 1 || around.after.size() > 1) {
    fail(
        ErrorKind::data,
        "{}: post_processor puts {} tokens before a text and {} behind it; gist knows one of each: "
        "bos and eos",
        path.string(), around.before.size(), around.after.size());
  }
}

std::int32_t JsonVocabulary::pieces() const {
  return static_cast<std::int32_t>(tokenizer_.pieces().size());
}

const std::string& JsonVocabulary::piece(std::int32_t id) const {
  return tokenizer_.pieces()[static_cast<std::size_t>(id)];
}

std::optional<std::int32_t> JsonVocabulary::find(std::string_view piece) const {
  return tokenizer_.find(piece);
}

std::optional<std::int32_t> JsonVocabulary::bos() const {
  return only_one(tokenizer_.surrounding().before);
}

std::optional<std::int32_t> JsonVocabulary::eos() const {
  return only_one(tokenizer_.surrounding().after);
}

std::optional<std::int32_t> JsonVocabulary::unk() const {
  return tokenizer_.unk();
}

void JsonVocabulary::apply(const TokenizerSettings& settings, const std::vector<AddedToken>& added,
                           const std::set<std::int32_t>& special,
                           const std::filesystem::path& directory) {
  const std::optional<bool> has_space = tokenizer_.byte_level_space();
  if (has_space && settings.space_before_text.value_or(*has_space) != *has_space) {
    fail(ErrorKind::data,
         "{}: \"add_prefix_space\" is {} in {}, but {} in {}'s pre_tokenizer: make them equal",
         directory.string(), *settings.space_before_text, tokenizer_config_name, *has_space,
         fast_tokenizer_name);
  }
  std::vector<AddedToken> tokens = added;
  for (AddedToken& token : tokens) {
    token.special = token.special || special.contains(static_cast<std::int32_t>(token.id));
  }
  tokenizer_.set_added(tokens);
}

std::vector<std::int32_t> JsonVocabulary::encode(std::string_view text) const {
  return tokenizer_.encode(text);
}

std::string JsonVocabulary::decode(std::span<const std::int32_t> ids) const {
  return tokenizer_.decode(ids);
}

}  // namespace gist
