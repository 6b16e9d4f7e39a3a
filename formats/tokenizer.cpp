#include "formats/tokenizer.h"

#include <sentencepiece_processor.h>

#include <algorithm>
#include <array>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "formats/file_io.h"
#include "formats/json_text.h"
#include "formats/sha256.h"
#include "formats/text.h"
#include "kernels/error.h"

namespace gist {
namespace {

using nlohmann::json;

constexpr std::array vocabulary_names = {"tokenizer.model", "spiece.model"};
constexpr const char* added_tokens_name = "added_tokens.json";
constexpr const char* config_name = "tokenizer_config.json";
constexpr std::int32_t t5_extra_ids = 100;
constexpr std::int32_t max_extra_ids = 1 << 20;

std::filesystem::path vocabulary_in(const std::filesystem::path& directory) {
  for (const char* name : vocabulary_names) {
    if (may_exist(directory / name)) return directory / name;
  }
  fail(ErrorKind::no_input, "{}: neither {} nor {} is there; gist reads SentencePiece vocabularies",
       directory.string(), vocabulary_names[0], vocabulary_names[1]);
}

/// The object in the file; an empty one where there is no such file.
json object_in(const std::filesystem::path& path) {
  return may_exist(path) ? read_json_object(path) : json::object();
}

/// T5's sentinels <extra_id_0> ... stand behind the vocabulary without being named in it.
std::int32_t extra_ids_in(const json& config, const std::filesystem::path& path) {
  const json class_name = config.value("tokenizer_class", json());
  if (class_name != "T5Tokenizer" && class_name != "T5TokenizerFast") return 0;
  const auto found = config.find("extra_ids");
  if (found == config.end()) return t5_extra_ids;
  if (!found->is_number_unsigned() || found->get<std::uint64_t>() > max_extra_ids) {
    fail(ErrorKind::data, "{}: \"extra_ids\" should be a number from 0 to {}", path.string(),
         max_extra_ids);
  }
  return found->get<std::int32_t>();
}

struct AddedToken {
  std::string name;
  std::uint64_t id = 0;
};

/// The tokens that added_tokens.json lists, in order of their ids.
std::vector<AddedToken> added_tokens_in(const std::filesystem::path& path) {
  const json content = object_in(path);
  std::vector<AddedToken> tokens;
  for (const auto& [name, id] : content.items()) {
    if (!id.is_number_unsigned()) {
      fail(ErrorKind::data, "{}: the id of token {} should be a non-negative integer",
           path.string(), in_quotes(name));
    }
    tokens.push_back({name, id.get<std::uint64_t>()});
  }
  std::sort(tokens.begin(), tokens.end(), [](const AddedToken& a, const AddedToken& b) {
    return std::pair(a.id, std::string_view(a.name)) < std::pair(b.id, std::string_view(b.name));
  });
  return tokens;
}

/// SentencePiece says -1 for a token that the vocabulary lacks.
std::optional<std::int32_t> id_or_none(int id) {
  return id < 0 ? std::nullopt : std::optional<std::int32_t>(id);
}

}  // namespace

struct Tokenizer::Impl {
  sentencepiece::SentencePieceProcessor processor;
  std::map<std::string, std::int32_t, std::less<>> added;  // by name, sentinels included
  std::int32_t pieces = 0;                                 // of the vocabulary file
  std::int32_t size = 0;                                   // added tokens included
  std::filesystem::path path;
  std::string sha256;

  void load() {
    const std::string bytes = read_file(path);
    sha256 = to_hex(gist::sha256(bytes));
    const auto status = processor.LoadFromSerializedProto(bytes);
    if (!status.ok()) {
      fail(ErrorKind::data,
           "{}: no SentencePiece model, or a damaged one; copy or download it again",
           path.string());
    }
    pieces = processor.GetPieceSize();
    size = pieces;
  }

  std::optional<std::int32_t> vocabulary_id(std::string_view piece) const {
    const int id = processor.PieceToId(piece);  // unknown pieces get the id of <unk>
    if (id < 0 || id >= pieces || processor.IdToPiece(id) != piece) return std::nullopt;
    return id;
  }

  void add_sentinels(std::int32_t count) {
    for (std::int32_t i = 0; i < count; ++i) {
      added["<extra_id_" + std::to_string(i) + ">"] = pieces + count - 1 - i;
    }
    size += count;
  }

  void add_tokens(const std::filesystem::path& source) {
    for (const AddedToken& token : added_tokens_in(source)) {
      const std::optional<std::int32_t> known = find(token.name);
      if (known && static_cast<std::uint64_t>(*known) == token.id) continue;
      if (known || token.id != static_cast<std::uint64_t>(size)) {
        fail(ErrorKind::data,
             "{}: token {} has id {}, expected {}: added tokens continue the {} ids of {}",
             source.string(), in_quotes(token.name), token.id, known ? *known : size, pieces,
             path.filename().string());
      }
      added[token.name] = size++;
    }
  }

  std::optional<std::int32_t> find(std::string_view name) const {
    if (const auto found = added.find(name); found != added.end()) return found->second;
    return vocabulary_id(name);
  }
};

Tokenizer Tokenizer::open(const std::filesystem::path& path) {
  auto impl = std::make_unique<Impl>();
  std::error_code unknown;  // then opening says why
  const bool is_directory = std::filesystem::is_directory(path, unknown);
  impl->path = is_directory ? vocabulary_in(path) : path;
  impl->load();
  if (is_directory) {
    const std::filesystem::path config = path / config_name;
    impl->add_sentinels(extra_ids_in(object_in(config), config));
    impl->add_tokens(path / added_tokens_name);
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
  std::vector<int> ids;
  const auto status = impl_->processor.Encode(text, &ids);
  if (!status.ok()) {
    fail(ErrorKind::internal, "SentencePiece can't encode {}: {}", in_quotes(text),
         status.ToString());
  }
  return {ids.begin(), ids.end()};
}

std::string Tokenizer::decode(std::span<const std::int32_t> ids) const {
  std::vector<int> plain;
  for (const std::int32_t id : ids) {
    if (id < 0) fail(ErrorKind::internal, "token id {} to decode", id);
    if (id < impl_->pieces && !impl_->processor.IsControl(id)) plain.push_back(id);
  }
  std::string text;
  const auto status = impl_->processor.Decode(plain, &text);
  if (!status.ok()) fail(ErrorKind::internal, "SentencePiece can't decode: {}", status.ToString());
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
  return id_or_none(impl_->processor.bos_id());
}

std::optional<std::int32_t> Tokenizer::eos() const {
  return id_or_none(impl_->processor.eos_id());
}

std::optional<std::int32_t> Tokenizer::unk() const {
  return id_or_none(impl_->processor.unk_id());
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
