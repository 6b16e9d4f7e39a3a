#include "formats/model/tokenizer.h"

#include <sentencepiece_processor.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <utility>

#include "formats/files/file_check.h"
#include "formats/files/file_io.h"
#include "formats/files/sha256.h"
#include "formats/files/text.h"
#include "formats/model/added_words.h"
#include "formats/model/word_encoder.h"
#include "kernels/error.h"

namespace gist {
namespace {

constexpr std::array vocabulary_names = {"tokenizer.model", "spiece.model"};
constexpr const char* first_sentinel = "<extra_id_0>";

std::filesystem::path vocabulary_in(const std::filesystem::path& directory) {
  for (const char* name : vocabulary_names) {
    if (may_exist(directory / name)) return directory / name;
  }
  const bool has_fast = may_exist(directory / fast_tokenizer_name);
  fail(ErrorKind::no_input,
       "{}: {} {} nor {} is there; gist reads SentencePiece vocabularies, no tokenizer.json yet: "
       "copy {} from the base model that this one was made of",
       directory.string(), has_fast ? "tokenizer.json is there alone, neither" : "neither",
       vocabulary_names[0], vocabulary_names[1],
       fmt::format("{} (T5: {})", vocabulary_names[0], vocabulary_names[1]));
}

/// SentencePiece says -1 for a token that the vocabulary lacks.
std::optional<std::int32_t> id_or_none(int id) {
  return id < 0 ? std::nullopt : std::optional<std::int32_t>(id);
}

using sentencepiece::SentencePieceProcessor;

}  // namespace

struct Tokenizer::Impl {
  SentencePieceProcessor processor;
  std::optional<WordEncoder> encoder;
  // The same without the space that SentencePiece puts before each text, where the directory has
  // texts go without: all of them, or those behind an added token.
  SentencePieceProcessor bare_processor;
  std::optional<WordEncoder> bare_encoder;
  bool space_before_text = true;
  std::map<std::string, std::int32_t, std::less<>> added;  // by text, sentinels included
  std::vector<AddedToken> tokens;                          // added_tokens()
  std::set<std::int32_t> special;                          // ids that decode to nothing
  std::optional<std::int32_t> bos, eos, unk;
  bool adds_bos = true, adds_eos = false;
  std::int32_t pieces = 0;  // of the vocabulary file
  std::int32_t size = 0;    // added tokens included
  std::filesystem::path path;
  std::string sha256;

  void load(const TokenizerReading& reading) {
    const std::string bytes = read_file(path);
    refuse_git_lfs_pointer(bytes, path);
    sha256 = to_hex(gist::sha256(bytes));
    if (!reading.trusted) check_new_tokenizer(path, sha256);
    const auto status = processor.LoadFromSerializedProto(bytes);
    if (!status.ok()) {
      fail(ErrorKind::data,
           "{}: no SentencePiece model, or a damaged one; copy or download it again",
           path.string());
    }
    encoder.emplace(processor, bytes);
    pieces = processor.GetPieceSize();
    size = pieces;
    bos = id_or_none(processor.bos_id());
    eos = id_or_none(processor.eos_id());
    unk = id_or_none(processor.unk_id());
  }

  /// As transformers' fast tokenizers for LLaMA (its slow one asks for "legacy": false beside
  /// "add_prefix_space": false).
  void load_bare(const TokenizerSettings& settings, const std::filesystem::path& directory) {
    const bool behind_words =
        std::any_of(tokens.begin(), tokens.end(), [](const AddedToken& t) { return !t.special; });
    if (settings.space_before_text && (settings.space_behind_words || !behind_words)) return;
    const std::optional<std::string> bare = without_space_before_text(read_file(path));
    if (!bare && settings.space_before_text)
      return;  // a T5's, of which added tokens are seldom words
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
    space_before_text = settings.space_before_text;
  }

  /// Of a part of a text, its first or one behind an added token.
  std::vector<std::int32_t> encode(std::string_view part, bool first) const {
    const bool with_space = !bare_encoder || (first && space_before_text);
    return (with_space ? *encoder : *bare_encoder).encode(part);
  }

  std::optional<std::int32_t> vocabulary_id(std::string_view piece) const {
    const int id = processor.PieceToId(piece);  // unknown pieces get the id of <unk>
    if (id < 0 || id >= pieces || processor.IdToPiece(id) != piece) return std::nullopt;
    return id;
  }

  std::optional<std::int32_t> find(std::string_view name) const {
    if (const auto found = added.find(name); found != added.end()) return found->second;
    return vocabulary_id(name);
  }

  void apply(const TokenizerSettings& settings, const std::filesystem::path& directory) {
    if (!vocabulary_id(first_sentinel)) add_sentinels(settings.sentinels);
    add_listed(settings.listed, directory);
    for (const std::string& text : settings.special) add_special(text);
    const auto named = [this](const std::optional<std::string>& text, auto otherwise) {
      return text ? find(*text) : otherwise;
    };
    bos = named(settings.bos, bos);
    eos = named(settings.eos, eos);
    unk = named(settings.unk, unk);
    adds_bos = settings.adds_bos;
    adds_eos = settings.adds_eos;
    std::sort(tokens.begin(), tokens.end(),
              [](const AddedToken& a, const AddedToken& b) { return a.id < b.id; });
    load_bare(settings, directory);
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

 private:
  void add_sentinels(std::int32_t count) {
    for (std::int32_t i = 0; i < count; ++i) {
      const std::int32_t id = pieces + count - 1 - i;
      added["<extra_id_" + std::to_string(i) + ">"] = id;
      special.insert(id);
    }
    size += count;
  }

  void add_listed(const std::vector<AddedToken>& listed, const std::filesystem::path& directory) {
    for (AddedToken token : listed) {
      token.special = token.special || token.text == gist_token_name;  // whatever the files say
      const std::optional<std::int32_t> known = find(token.text);
      const bool agrees = known && static_cast<std::uint64_t>(*known) == token.id;
      if (!agrees && (known || token.id != static_cast<std::uint64_t>(size))) {
        fail(ErrorKind::data,
             "{}: token {} has id {}, expected {}: added tokens continue the {} ids of {}",
             directory.string(), in_quotes(token.text), token.id, known ? *known : size, pieces,
             path.filename().string());
      }
      if (!agrees) append(token);
      if (token.special) special.insert(static_cast<std::int32_t>(token.id));
    }
  }

  void add_special(const std::string& text) {
    if (!find(text)) {
      AddedToken token;
      token.text = text;
      token.id = static_cast<std::uint64_t>(size);
      token.special = true;
      append(token);
    }
    special.insert(*find(text));
  }

  void append(const AddedToken& token) {
    added[token.text] = size++;
    tokens.push_back(token);
  }
};

Tokenizer Tokenizer::open(const std::filesystem::path& path, const TokenizerReading& reading) {
  auto impl = std::make_unique<Impl>();
  std::error_code unknown;  // then opening says why
  const bool is_directory = std::filesystem::is_directory(path, unknown);
  impl->path = is_directory ? vocabulary_in(path) : path;
  impl->load(reading);
  if (is_directory) impl->apply(read_tokenizer_settings(path), path);
  return Tokenizer(std::move(impl));
}

Tokenizer::Tokenizer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

std::vector<std::int32_t> Tokenizer::encode(std::string_view text) const {
  if (!valid_utf8(text)) {
    fail(ErrorKind::data, "text that is not valid UTF-8: {}", in_quotes(text));
  }
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

std::string Tokenizer::decode(std::span<const std::int32_t> ids) const {
  std::string text;
  std::vector<int> plain;
  const auto append = [&text](const std::string& part) {
    if (!text.empty() && !part.empty()) text += ' ';
    text += part;
  };
  for (const std::int32_t id : ids) {
    if (id < 0) fail(ErrorKind::internal, "token id {} to decode", id);
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

std::optional<std::int32_t> Tokenizer::id_of_piece(std::string_view piece) const {
  return impl_->find(piece);
}

const std::string& Tokenizer::piece_of_id(std::int32_t id) const {
  if (id < 0 || id >= impl_->pieces) {
    fail(ErrorKind::internal, "the piece of token id {}; the vocabulary has {}", id, impl_->pieces);
  }
  return impl_->processor.IdToPiece(id);
}

std::optional<std::int32_t> Tokenizer::bos() const {
  return impl_->bos;
}

std::optional<std::int32_t> Tokenizer::eos() const {
  return impl_->eos;
}

std::optional<std::int32_t> Tokenizer::unk() const {
  return impl_->unk;
}

bool Tokenizer::adds_bos() const {
  return impl_->bos.has_value() && impl_->adds_bos;
}

bool Tokenizer::adds_eos() const {
  return impl_->eos.has_value() && impl_->adds_eos;
}

std::int32_t Tokenizer::pieces() const {
  return impl_->pieces;
}

const std::vector<AddedToken>& Tokenizer::added_tokens() const {
  return impl_->tokens;
}

std::int32_t Tokenizer::size() const {
  return impl_->size;
}

std::optional<std::int32_t> Tokenizer::gist_token() const {
  const auto found = impl_->added.find(gist_token_name);
  return found == impl_->added.end() ? std::nullopt : std::optional(found->second);
}

const std::string& Tokenizer::sha256() const {
  return impl_->sha256;
}
const std::filesystem::path& Tokenizer::path() const {
  return impl_->path;
}

}  // namespace gist
