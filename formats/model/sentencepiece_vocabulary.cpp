#include "formats/model/sentencepiece_vocabulary.h"

#include <sentencepiece_processor.h>

#include <algorithm>
#include <utility>

#include "formats/model/added_words.h"
#include "formats/model/word_encoder.h"
#include "kernels/error.h"

namespace gist {
namespace {

/// SentencePiece says -1 for a token that the vocabulary lacks.
std::optional<std::int32_t> id_or_none(int id) {
  return id < 0 ? std::nullopt : std::optional<std::int32_t>(id);
}

using sentencepiece::SentencePieceProcessor;

}  // namespace

struct SentencePieceVocabulary::Impl {
  SentencePieceProcessor processor;
  std::optional<WordEncoder> encoder;
  // The same without the space that SentencePiece puts before each text, where the directory has
  // texts go without: all of them, or those behind an added token.
  SentencePieceProcessor bare_processor;
  std::optional<WordEncoder> bare_encoder;
  bool space_before_text = true;
  std::vector<AddedToken> tokens;  // behind the pieces
  std::set<std::int32_t> special;  // ids that decode to nothing
  std::int32_t pieces = 0;
  std::string model;  // serialized
  std::filesystem::path path;

  /// As transformers' fast tokenizers for LLaMA (its slow one asks for "legacy": false beside
  /// "add_prefix_space": false).
  void load_bare(const TokenizerSettings& settings, const std::filesystem::path& directory) {
    const bool space_wanted = settings.space_before_text.value_or(true);
    const bool behind_words =
        std::any_of(tokens.begin(), tokens.end(), [](const AddedToken& t) { return !t.special; });
    if (space_wanted && (settings.space_behind_words || !behind_words)) return;
    const std::optional<std::string> bare = without_space_before_text(model);
    if (!bare && space_wanted) return;  // a T5's, of which added tokens are seldom words
    if (!bare) {
      fail(ErrorKind::data,
           "{}: \"add_prefix_space\" is false, which gist can't follow yet with a vocabulary that "
           "takes white space off texts ({}): set it to true, and train the model so",
           (directory / tokenizer_config_name).string(), path.filename().string());
    }
    const auto status = bare_processor.LoadFromSerializedProto(*bare);
    if (!status.ok()) {
      fail(ErrorKind::data, "{}: SentencePiece can't do without the space before texts: {}",
           path.string(), status.ToString());
    }
    bare_encoder.emplace(bare_processor, *bare);
    space_before_text = space_wanted;
  }

  /// Of a part of a text, its first or one behind an added token.
  std::vector<std::int32_t> encode(std::string_view part, bool first) const {
    const bool with_space = !bare_encoder || (first && space_before_text);
    return (with_space ? *encoder : *bare_encoder).encode(part);
  }

  std::string decode(const std::vector<int>& ids) const {
    std::string text;
    const auto status = (space_before_text ? processor : bare_processor).Decode(ids, &text);
    if (!status.ok()) {
      fail(ErrorKind::internal, "SentencePiece can't decode: {}", status.ToString());
    }
    return text;
  }

  /// The text of an added token that isn't special; nothing for other ids.
  const std::string* word(std::int32_t id) const {
    const auto at = std::lower_bound(tokens.begin(), tokens.end(), id,
                                     [](const AddedToken& token, std::int32_t wanted) {
                                       return token.id < static_cast<std::uint64_t>(wanted);
                                     });
    const bool found = at != tokens.end() && at->id == static_cast<std::uint64_t>(id);
    return found && !at->special ? &at->text : nullptr;
  }
};

SentencePieceVocabulary::SentencePieceVocabulary(const std::string& bytes,
                                                 const std::filesystem::path& path)
    : impl_(std::make_unique<Impl>()) {
  impl_->path = path;
  impl_->model = bytes;
  const auto status = impl_->processor.LoadFromSerializedProto(bytes);
  if (!status.ok()) {
    fail(ErrorKind::data, "{}: no SentencePiece model, or a damaged one; copy or download it again",
         path.string());
  }
  impl_->encoder.emplace(impl_->processor, bytes);
  impl_->pieces = impl_->processor.GetPieceSize();
}

SentencePieceVocabulary::SentencePieceVocabulary(SentencePieceVocabulary&&) noexcept = default;
SentencePieceVocabulary& SentencePieceVocabulary::operator=(SentencePieceVocabulary&&) noexcept =
    default;
SentencePieceVocabulary::~SentencePieceVocabulary() = default;

std::int32_t SentencePieceVocabulary::pieces() const {
  return impl_->pieces;
}

const std::string& SentencePieceVocabulary::piece(std::int32_t id) const {
  return impl_->processor.IdToPiece(id);
}

std::optional<std::int32_t> SentencePieceVocabulary::find(std::string_view piece) const {
  const int id = impl_->processor.PieceToId(piece);  // unknown pieces get the id of <unk>
  if (id < 0 || id >= impl_->pieces || impl_->processor.IdToPiece(id) != piece) return std::nullopt;
  return id;
}

std::optional<std::int32_t> SentencePieceVocabulary::bos() const {
  return id_or_none(impl_->processor.bos_id());
}

std::optional<std::int32_t> SentencePieceVocabulary::eos() const {
  return id_or_none(impl_->processor.eos_id());
}

std::optional<std::int32_t> SentencePieceVocabulary::unk() const {
  return id_or_none(impl_->processor.unk_id());
}

void SentencePieceVocabulary::apply(const TokenizerSettings& settings,
                                    const std::vector<AddedToken>& added,
                                    const std::set<std::int32_t>& special,
                                    const std::filesystem::path& directory) {
  impl_->tokens = added;
  impl_->special = special;
  impl_->load_bare(settings, directory);
}

std::vector<std::int32_t> SentencePieceVocabulary::encode(std::string_view text) const {
  std::vector<std::int32_t> ids;
  bool first = true;
  for (const TextPart& part : split_at_words(text, impl_->tokens)) {
    if (part.word != nullptr) {
      ids.push_back(static_cast<std::int32_t>(part.word->id));
      first = false;
    } else {
      const std::vector<std::int32_t> plain = impl_->encode(part.text, first);
      ids.insert(ids.end(), plain.begin(), plain.end());
    }
  }
  return ids;
}

std::string SentencePieceVocabulary::decode(std::span<const std::int32_t> ids) const {
  std::string text;
  std::vector<int> plain;
  const auto append = [&text](const std::string& part) {
    if (!text.empty() && !part.empty()) text += ' ';
    text += part;
  };
  for (const std::int32_t id : ids) {
    if (const std::string* word = impl_->word(id)) {
      append(impl_->decode(std::exchange(plain, {})));
      append(*word);
    } else if (id < impl_->pieces && !impl_->processor.IsControl(id) &&
               !impl_->special.contains(id)) {
      plain.push_back(id);
    }
  }
  append(impl_->decode(plain));
  return text;
}

}  // namespace gist
