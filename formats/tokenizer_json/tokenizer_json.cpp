#include "formats/tokenizer_json/tokenizer_json.h"

#include <algorithm>
#include <unordered_map>
#include <utility>
#include <variant>

#include "core/utf8.h"
#include "formats/tokenizer_json/added_matcher.h"
#include "formats/tokenizer_json/bpe.h"
#include "formats/tokenizer_json/json_part.h"
#include "formats/tokenizer_json/normalizer.h"
#include "formats/tokenizer_json/pre_tokenizer.h"
#include "formats/tokenizer_json/token_decoder.h"
#include "formats/tokenizer_json/unigram.h"
#include "formats/tokenizer_json/word_cache.h"
#include "kernels/error.h"

namespace gist {
namespace {

using Model = std::variant<BpeModel, UnigramModel>;

Model model_in(const JsonPart& part) {
  const JsonPart type = part.member("type");
  std::string name = type.is_null() ? "" : type.text();
  if (name.empty() && part.value().contains("merges")) name = "BPE";  // as older files have it
  if (name == "BPE") return BpeModel(part);
  if (name == "Unigram") return UnigramModel(part);
  part.refuse_type("BPE and Unigram");
}

/// "truncation" and "padding" are for batches, and transformers sets them itself.
JsonPart checked(const nlohmann::json& content, const std::string& where) {
  if (!content.is_object() || !content.contains("model")) {
    fail(
        ErrorKind::data,
        "{}: expected a vocabulary, a tokenizer.json with a \"model\" or a SentencePiece model; this "
        "is other JSON",
        where);
  }
  JsonPart root(content, where + ": ");
  root.allow({"version", "truncation", "padding", "added_tokens", "normalizer", "pre_tokenizer",
              "post_processor", "decoder", "model"});
  const JsonPart version = root.member("version");
  if (!version.is_null() && version.value() != "1.0") version.refuse("\"1.0\"");
  return root;
}

}  // namespace

struct TokenizerJson::Impl {
  Normalizer normalizer;
  PreTokenizer pre_tokenizer;
  Model model;
  TokenDecoder decoder;
  SurroundingTokens surrounding;
  AddedMatcher in_raw_text, in_normal_text;
  std::unordered_map<std::int32_t, AddedToken> added;
  mutable WordCache cache;

  explicit Impl(const JsonPart& root)
      : normalizer(root.member("normalizer")),
        pre_tokenizer(root.member("pre_tokenizer")),
        model(model_in(root.member("model"))),
        decoder(root.member("decoder")),
        surrounding(surrounding_tokens(root.member("post_processor"))) {}

  const std::vector<std::string>& pieces() const {
    return std::visit(
        [](const auto& each) -> const std::vector<std::string>& { return each.pieces(); }, model);
  }

  void append_word(std::string_view word, WordCache::Lease& words,
                   std::vector<std::int32_t>& ids) const {
    std::visit(
        [&](const auto& each) {
          while (!word.empty()) {
            const std::string_view part = word.substr(0, each.part_bytes(word));
            word.remove_prefix(part.size());
            words.append(part, ids,
                         [&](std::string_view unknown, std::vector<std::int32_t>& result) {
                           each.encode(unknown, result);
                         });
          }
        },
        model);
  }

  /// Between added tokens that are found in the text as it is; `first`: the text begins so.
  void encode_between(std::string_view text, bool first, WordCache::Lease& words,
                      std::vector<std::int32_t>& ids) const {
    NormalText normal{std::string(text), first ? first_character(text).bytes : 0};
    normalizer.apply(normal);
    for (const AddedPart& part : in_normal_text.parts(normal.text)) {
      if (part.token != nullptr) {
        ids.push_back(static_cast<std::int32_t>(part.token->id));
        continue;
      }
      const std::size_t bytes = part.span.end - part.span.begin;
      Words cut{normal.text.substr(part.span.begin, bytes),
                {{0, bytes}},
                normal.first_bytes - std::min(normal.first_bytes, part.span.begin)};
      pre_tokenizer.apply(cut);
      for (const Span& word : cut.spans) {
        append_word(std::string_view(cut.text).substr(word.begin, word.end - word.begin), words,
                    ids);
      }
    }
  }
};

TokenizerJson::TokenizerJson(const nlohmann::json& content, const std::string& where)
    : impl_(std::make_unique<Impl>(checked(content, where))) {}
TokenizerJson::TokenizerJson(TokenizerJson&&) noexcept = default;
TokenizerJson& TokenizerJson::operator=(TokenizerJson&&) noexcept = default;
TokenizerJson::~TokenizerJson() = default;

const std::vector<std::string>& TokenizerJson::pieces() const {
  return impl_->pieces();
}

std::optional<std::int32_t> TokenizerJson::find(std::string_view piece) const {
  return std::visit([&](const auto& each) { return each.find(piece); }, impl_->model);
}

std::optional<std::int32_t> TokenizerJson::unk() const {
  return std::visit([](const auto& each) { return each.unk(); }, impl_->model);
}

const SurroundingTokens& TokenizerJson::surrounding() const {
  return impl_->surrounding;
}

std::optional<bool> TokenizerJson::byte_level_space() const {
  return impl_->pre_tokenizer.byte_level_space();
}

void TokenizerJson::set_added(const std::vector<AddedToken>& tokens) {
  std::vector<AddedToken> sorted = tokens;  // of equal texts the special one is found
  std::stable_partition(sorted.begin(), sorted.end(),
                        [](const AddedToken& token) { return token.special; });
  std::vector<AddedMatcher::Pattern> raw, normal;
  std::vector<bool> excluded(pieces().size());
  for (const AddedToken& token : sorted) {
    impl_->added[static_cast<std::int32_t>(token.id)] = token;
    if (token.special && token.id < excluded.size()) excluded[token.id] = true;
    NormalText text{token.text, 0};
    if (token.normalized) impl_->normalizer.apply(text);
    (token.normalized ? normal : raw).push_back({std::move(text.text), token});
  }
  impl_->in_raw_text = AddedMatcher(std::move(raw));
  impl_->in_normal_text = AddedMatcher(std::move(normal));
  std::visit([&](auto& each) { each.exclude(excluded); }, impl_->model);
}

std::vector<std::int32_t> TokenizerJson::encode(std::string_view text) const {
  WordCache::Lease words(impl_->cache);
  std::vector<std::int32_t> ids;
  for (const AddedPart& part : impl_->in_raw_text.parts(text)) {
    if (part.token != nullptr) {
      ids.push_back(static_cast<std::int32_t>(part.token->id));
    } else {
      impl_->encode_between(text.substr(part.span.begin, part.span.end - part.span.begin),
                            part.span.begin == 0, words, ids);
    }
  }
  return ids;
}

std::string TokenizerJson::decode(std::span<const std::int32_t> ids) const {
  const std::vector<std::string>& pieces = impl_->pieces();
  std::vector<std::string> tokens;
  for (const std::int32_t id : ids) {
    if (const auto added = impl_->added.find(id); added != impl_->added.end()) {
      if (!added->second.special) tokens.push_back(added->second.text);
    } else if (id >= 0 && static_cast<std::size_t>(id) < pieces.size()) {
      tokens.push_back(pieces[static_cast<std::size_t>(id)]);
    }
  }
  return impl_->decoder.decode(std::move(tokens));
}

std::size_t TokenizerJson::settled(std::span<const std::int32_t> ids) const {
  const std::vector<std::string>& pieces = impl_->pieces();
  std::size_t settled = ids.size();
  for (std::size_t at = ids.size(); at > 0; --at) {
    const std::int32_t id = ids[at - 1];
    const auto added = impl_->added.find(id);
    const bool is_piece = id >= 0 && static_cast<std::size_t>(id) < pieces.size();
    if (added != impl_->added.end() ? added->second.special : !is_piece)
      continue;  // decodes to nothing
    if (added != impl_->added.end() ||
        !impl_->decoder.is_unsettled(pieces[static_cast<std::size_t>(id)])) {
      break;
    }
    settled = at - 1;
  }
  return settled;
}

std::optional<std::int64_t> next_added_id(const nlohmann::ordered_json& content) {
  const auto model = content.find("model");
  if (model == content.end() || !model->is_object() || !model->contains("vocab")) {
    return std::nullopt;
  }
  auto next = static_cast<std::int64_t>((*model)["vocab"].size());
  const auto added = content.find("added_tokens");
  if (added == content.end() || !added->is_array()) return next;
  for (const nlohmann::ordered_json& token : *added) {
    const auto id = token.is_object() ? token.find("id") : token.end();
    if (token.is_object() && id != token.end() && id->is_number_unsigned()) {
      next = std::max(next, static_cast<std::int64_t>(id->get<std::uint64_t>() & INT32_MAX) + 1);
    }
  }
  return next;
}

}  // namespace gist
