#include "formats/model/tokenizer.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <utility>
#include <variant>

#include "formats/files/file_check.h"
#include "formats/files/file_io.h"
#include "formats/files/json_text.h"
#include "formats/files/sha256.h"
#include "formats/files/text.h"
#include "formats/gguf/gguf_tokenizer.h"
#include "formats/model/json_vocabulary.h"
#include "formats/model/model_kind.h"
#include "formats/model/sentencepiece_vocabulary.h"
#include "kernels/error.h"

namespace gist {
namespace {

/// The first that a directory has is read.
constexpr std::array vocabulary_names = {"tokenizer.model", "spiece.model", fast_tokenizer_name};
constexpr const char* first_sentinel = "<extra_id_0>";

std::filesystem::path vocabulary_in(const std::filesystem::path& directory) {
  for (const char* name : vocabulary_names) {
    if (may_exist(directory / name)) return directory / name;
  }
  fail(ErrorKind::no_input,
       "{}: none of {}, {} and {} is there: copy the vocabulary from the base model that this one "
       "was made of",
       directory.string(), vocabulary_names[0], vocabulary_names[1], vocabulary_names[2]);
}

/// Both kinds of vocabulary file say the same things.
using Vocabulary = std::variant<SentencePieceVocabulary, JsonVocabulary>;

/// A vocabulary file, read.
struct VocabularyFile {
  std::filesystem::path path;
  std::string bytes;
  std::string sha256;
  nlohmann::json content;        // of a tokenizer.json; null of others
  nlohmann::json settings = {};  // tokenizer_config.json of what stands in a GGUF file

  static VocabularyFile read(const std::filesystem::path& path, const TokenizerReading& reading) {
    std::string bytes = read_file(path);
    refuse_git_lfs_pointer(bytes, path);
    VocabularyFile file{path, std::move(bytes), "", {}};
    file.check(reading);
    if (path.extension() == ".json") file.content = parse_json(file.bytes, path.string());
    return file;
  }

  static VocabularyFile read_gguf(const std::filesystem::path& path,
                                  const TokenizerReading& reading) {
    GgufTokenizer made = gguf_tokenizer(read_gguf_file(path));
    VocabularyFile file{path, std::move(made.vocabulary), "", std::move(made.json),
                        std::move(made.settings)};
    file.check(reading);
    return file;
  }

  void check(const TokenizerReading& reading) {
    sha256 = to_hex(gist::sha256(bytes));
    if (!reading.trusted) check_new_tokenizer(path, sha256);
  }

  Vocabulary vocabulary() const {
    if (content.is_null()) return SentencePieceVocabulary(bytes, path);
    return JsonVocabulary(content, path);
  }
};

}  // namespace

struct Tokenizer::Impl {
  Vocabulary vocabulary;
  bool is_json;
  std::map<std::string, std::int32_t, std::less<>> added;  // by text, sentinels included
  std::vector<AddedToken> tokens;                          // added_tokens()
  std::set<std::int32_t> special;                          // ids that decode to nothing
  std::optional<std::int32_t> bos, eos, unk;
  bool adds_bos = true, adds_eos = false;
  std::int32_t pieces = 0;  // of the vocabulary file
  std::int32_t size = 0;    // added tokens included
  std::filesystem::path path;
  std::string sha256;
  std::vector<std::string> warnings;

  explicit Impl(const VocabularyFile& file)
      : vocabulary(file.vocabulary()),
        is_json(!file.content.is_null()),
        path(file.path),
        sha256(file.sha256) {
    std::visit(
        [this](const auto& each) {
          size = pieces = each.pieces();
          bos = each.bos();
          eos = each.eos();
          unk = each.unk();
          adds_bos = each.adds_bos();
          adds_eos = each.adds_eos();
        },
        vocabulary);
  }

  std::optional<std::int32_t> vocabulary_id(std::string_view piece) const {
    return std::visit([&](const auto& each) { return each.find(piece); }, vocabulary);
  }

  std::optional<std::int32_t> find(std::string_view name) const {
    if (const auto found = added.find(name); found != added.end()) return found->second;
    return vocabulary_id(name);
  }

  void apply(const TokenizerSettings& settings, const std::filesystem::path& directory) {
    // A tokenizer.json lists them.
    if (!is_json && !vocabulary_id(first_sentinel)) add_sentinels(settings.sentinels);
    add_listed(settings.listed, directory);
    for (const std::string& text : settings.special) add_special(text);
    set_roles(settings);
    warnings = settings.warnings;
    const auto by_id = [](const AddedToken& a, const AddedToken& b) { return a.id < b.id; };
    std::sort(tokens.begin(), tokens.end(), by_id);
    std::visit(
        [&](auto& each) {
          each.apply(settings, is_json ? all_added(settings) : tokens, special, directory);
        },
        vocabulary);
  }

 private:
  void set_roles(const TokenizerSettings& settings) {
    const auto named = [this](const std::optional<std::string>& text, auto otherwise) {
      return text ? find(*text) : otherwise;
    };
    const std::optional<std::int32_t> first = bos;
    bos = named(settings.bos, bos);
    eos = named(settings.eos, eos);
    unk = named(settings.unk, unk);
    adds_bos = settings.adds_bos.value_or(adds_bos);
    adds_eos = settings.adds_eos.value_or(adds_eos);
    if (is_json && first && bos != first && adds_bos) {
      fail(
          ErrorKind::data,
          "{}: post_processor puts token {} before a text, but {} is bos_token: gist puts no other "
          "token there than bos",
          path.string(), *first, in_quotes(settings.bos.value_or("")));
    }
  }

  /// Those among the vocabulary's pieces, too.
  std::vector<AddedToken> all_added(const TokenizerSettings& settings) const {
    std::vector<AddedToken> all = settings.listed;
    std::set<std::uint64_t> ids;
    for (const AddedToken& token : all) ids.insert(token.id);
    for (const AddedToken& token : tokens) {
      if (ids.insert(token.id).second) all.push_back(token);
    }
    for (const std::int32_t id : special) {
      if (!ids.insert(static_cast<std::uint64_t>(id)).second) continue;
      AddedToken token;
      token.text = std::get<JsonVocabulary>(vocabulary).piece(id);
      token.id = static_cast<std::uint64_t>(id);
      token.special = true;
      all.push_back(std::move(token));
    }
    return all;
  }

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
  if (const auto gguf = gguf_file_of(path)) {
    const VocabularyFile file = VocabularyFile::read_gguf(*gguf, reading);
    auto impl = std::make_unique<Impl>(file);
    impl->apply(settings_of_tokenizer_config(file.settings, *gguf), *gguf);
    return Tokenizer(std::move(impl));
  }
  std::error_code unknown;  // then opening says why
  const bool is_directory = std::filesystem::is_directory(path, unknown);
  const VocabularyFile file =
      VocabularyFile::read(is_directory ? vocabulary_in(path) : path, reading);
  auto impl = std::make_unique<Impl>(file);
  if (is_directory) {
    impl->apply(read_tokenizer_settings(path, impl->is_json ? &file.content : nullptr), path);
  } else if (impl->is_json) {
    impl->apply(settings_of_tokenizer_json(file.content, path), path);
  }
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
  return std::visit([&](const auto& each) { return each.encode(text); }, impl_->vocabulary);
}

std::string Tokenizer::decode(std::span<const std::int32_t> ids) const {
  for (const std::int32_t id : ids) {
    if (id < 0) fail(ErrorKind::internal, "token id {} to decode", id);
  }
  return std::visit([&](const auto& each) { return each.decode(ids); }, impl_->vocabulary);
}

std::size_t Tokenizer::settled(std::span<const std::int32_t> ids) const {
  return std::visit([&](const auto& each) { return each.settled(ids); }, impl_->vocabulary);
}

std::optional<std::int32_t> Tokenizer::id_of_piece(std::string_view piece) const {
  return impl_->find(piece);
}

const std::string& Tokenizer::piece_of_id(std::int32_t id) const {
  if (id < 0 || id >= impl_->pieces) {
    fail(ErrorKind::internal, "the piece of token id {}; the vocabulary has {}", id, impl_->pieces);
  }
  return std::visit([&](const auto& each) -> const std::string& { return each.piece(id); },
                    impl_->vocabulary);
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

GistIds Tokenizer::gist_ids() const {
  GistIds ids;
  ids.first = gist_token().value_or(-1);
  if (!ids.any()) return ids;
  for (;; ++ids.count) {
    const auto found = impl_->added.find(gist_token_text(ids.count));
    if (found == impl_->added.end() || found->second != ids.end()) return ids;
  }
}

std::string Tokenizer::gist_token_text(std::int32_t i) {
  if (i == 0) return std::string(gist_token_name);
  return fmt::format("{}{}>", gist_token_name.substr(0, gist_token_name.size() - 1), i);
}

bool Tokenizer::is_json() const {
  return impl_->is_json;
}

const std::string& Tokenizer::sha256() const {
  return impl_->sha256;
}

const std::vector<std::string>& Tokenizer::warnings() const {
  return impl_->warnings;
}

const std::filesystem::path& Tokenizer::path() const {
  return impl_->path;
}

}  // namespace gist
