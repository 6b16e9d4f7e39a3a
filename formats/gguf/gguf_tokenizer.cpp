#include "formats/gguf/gguf_tokenizer.h"

#include <algorithm>
#include <array>
#include <bit>
#include <set>
#include <string_view>
#include <utility>

#include "formats/files/text.h"
#include "formats/model/added_tokens.h"
#include "formats/tokenizer_json/known_regex.h"
#include "kernels/error.h"

namespace gist {
namespace {

using nlohmann::json;

constexpr const char* model_key = "tokenizer.ggml.model";
constexpr const char* pre_key = "tokenizer.ggml.pre";
constexpr const char* tokens_key = "tokenizer.ggml.tokens";
constexpr const char* types_key = "tokenizer.ggml.token_type";
constexpr const char* scores_key = "tokenizer.ggml.scores";
constexpr const char* merges_key = "tokenizer.ggml.merges";
constexpr const char* space_key = "tokenizer.ggml.add_space_prefix";
constexpr const char* extra_spaces_key = "tokenizer.ggml.remove_extra_whitespaces";
constexpr const char* add_bos_key = "tokenizer.ggml.add_bos_token";
constexpr const char* add_eos_key = "tokenizer.ggml.add_eos_token";
constexpr std::string_view piece_space = "\u2581";  // SentencePiece's

/// The types of tokens, which are SentencePiece's (sentencepiece_model.proto).
enum class TokenType : std::uint8_t {
  normal = 1,
  unknown = 2,
  control = 3,
  user_defined = 4,
  unused = 5,
  byte = 6,
};

struct Token {
  std::string text;
  float score = 0;
  TokenType type = TokenType::normal;

  /// No text becomes it by the vocabulary's own rules.
  bool is_marked() const { return type == TokenType::control || type == TokenType::user_defined; }
};

enum class TokenizerKind : std::uint8_t { byte_level, sentencepiece };

/// A tokenizer's tokens and what they are for.
struct GgufVocabulary {
  TokenizerKind kind = TokenizerKind::byte_level;
  std::vector<Token> tokens;
  std::size_t pieces = 0;  // the tokens behind these are added ones
  std::optional<std::int64_t> bos, eos, unk, pad;
  bool adds_bos = false, adds_eos = false;

  const std::string& text(std::int64_t id) const {
    return tokens[static_cast<std::size_t>(id)].text;
  }
};

/// How texts are cut before byte pairs are merged, by the names of llama.cpp: which they are, and
/// "ignore_merges" and add_bos beside them, stands in src/llama-vocab.cpp (load, llm_tokenizer_bpe), and
/// what model each is of in get_vocab_base_pre() of its conversion. The expressions are those of these
/// models' tokenizer.json, with the step that is there before them.
struct PreTokenizing {
  std::string_view name;
  std::string_view regex;
  bool digits_alone = false;  // each stands by itself, before the expression is looked for
  bool normalises = false;    // to NFC
  bool ignores_merges = false;
  bool adds_bos = false;  // where the metadata don't say
};
constexpr std::array pre_tokenizings = std::to_array<PreTokenizing>({
    {"gpt-2", gpt2_regex},
    {"phi-2", gpt2_regex},
    {"smollm", gpt2_regex, true},
    {"llama-bpe", llama3_regex, false, false, true, true},
    {"llama3", llama3_regex, false, false, true, true},
    {"llama-v3", llama3_regex, false, false, true, true},
    {"dbrx", llama3_regex},
    {"qwen2", qwen2_regex, false, true},
});

std::optional<std::int64_t> id_in(const GgufFile& file, const char* key, std::size_t tokens) {
  const std::optional<std::int64_t> id = file.integer(key);
  if (id && (*id < 0 || *id >= static_cast<std::int64_t>(tokens))) {
    fail(ErrorKind::data, "{}: is {}, but there are {} tokens", file.place_of(key), *id, tokens);
  }
  return id;
}

std::size_t tokens_of(const GgufFile& file) {
  const auto texts = file.texts(tokens_key);
  return texts ? texts->size() : 0;
}

TokenizerKind kind_of(const GgufFile& file) {
  const std::optional<std::string> model = file.text(model_key);
  if (model == "gpt2") return TokenizerKind::byte_level;
  if (model == "llama") return TokenizerKind::sentencepiece;
  fail(
      ErrorKind::data,
      "{}: gist reads tokenizers of GGUF files that are \"gpt2\" (byte-level BPE) or \"llama\" "
      "(SentencePiece's BPE), found {}: give the Hugging Face directory that the file was made from",
      file.place_of(model_key), model ? in_quotes(*model) : "none");
}

/// Keys that say nothing of ids, and those that are read; others are refused.
void refuse_unknown_keys(const GgufFile& file) {
  constexpr std::string_view all = "tokenizer.ggml.";
  constexpr std::array read = std::to_array<std::string_view>(
      {model_key, pre_key, tokens_key, types_key, scores_key, merges_key, space_key,
       extra_spaces_key, add_bos_key, add_eos_key, "tokenizer.ggml.add_sep_token",
       "tokenizer.ggml.token_type_count"});
  for (const auto& [key, value] : file.metadata) {
    if (!key.starts_with(all) || key.ends_with("_token_id")) continue;
    if (std::find(read.begin(), read.end(), key) != read.end()) continue;
    fail(
        ErrorKind::data,
        "{}: gist doesn't know what this changes in token ids: give the Hugging Face directory that "
        "the file was made from",
        file.place_of(key));
  }
}

template <typename T>
void check_length(const GgufFile& file, const char* key, const std::vector<T>& list,
                  std::size_t tokens) {
  if (list.size() == tokens) return;
  fail(ErrorKind::data, "{}: has {} values for {} tokens", file.place_of(key), list.size(), tokens);
}

std::vector<Token> read_tokens(const GgufFile& file, TokenizerKind kind) {
  const auto texts = file.texts(tokens_key);
  if (!texts || texts->empty()) {
    fail(ErrorKind::data, "{}: should be the list of tokens", file.place_of(tokens_key));
  }
  std::vector<Token> tokens(texts->size());
  std::set<std::string_view> known;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const std::string_view text = (*texts)[i];
    if (!valid_utf8(text) || text.empty() || !known.insert(text).second) {
      fail(ErrorKind::data, "{}: token {}, {}, should be a text in UTF-8 that comes once",
           file.place_of(tokens_key), i, in_quotes(std::string(text)));
    }
    tokens[i].text = text;
  }
  if (const auto types = file.numbers(types_key)) {
    check_length(file, types_key, *types, tokens.size());
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      const double type = (*types)[i];
      if (!(type >= 1 && type <= 6)) {
        fail(ErrorKind::data, "{}: token {} has the type {}; 1 to 6 are known",
             file.place_of(types_key), i, type);
      }
      tokens[i].type = static_cast<TokenType>(type);
    }
  }
  const auto scores = file.numbers(scores_key);
  if (!scores && kind == TokenizerKind::sentencepiece) {
    fail(ErrorKind::data, "{}: is missing", file.place_of(scores_key));
  }
  if (scores) {
    check_length(file, scores_key, *scores, tokens.size());
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      tokens[i].score = static_cast<float>((*scores)[i]);
    }
  }
  return tokens;
}

/// Leaves out what pads the list to the embedding's rows.
void drop_padding(std::vector<Token>& tokens) {
  while (!tokens.empty() && tokens.back().type == TokenType::unused &&
         tokens.back().text == "[PAD" + std::to_string(tokens.size() - 1) + "]") {
    tokens.pop_back();
  }
}

std::size_t count_pieces(const std::vector<Token>& tokens, TokenizerKind kind) {
  constexpr float added_score = -1000;  // in llama.cpp's conversion
  std::size_t pieces = tokens.size();
  while (pieces > 0 && tokens[pieces - 1].is_marked() &&
         (kind == TokenizerKind::byte_level || tokens[pieces - 1].score == added_score)) {
    --pieces;
  }
  return pieces;
}

const PreTokenizing& pre_tokenizing_of(const GgufFile& file) {
  const std::optional<std::string> name = file.text(pre_key);
  const auto* const found =
      std::find_if(pre_tokenizings.begin(), pre_tokenizings.end(),
                   [&](const PreTokenizing& each) { return name && each.name == *name; });
  if (found != pre_tokenizings.end()) return *found;
  std::vector<std::string_view> names;
  names.reserve(pre_tokenizings.size());
  for (const PreTokenizing& each : pre_tokenizings) names.push_back(each.name);
  fail(ErrorKind::data,
       "{}: says how texts are cut into words; gist knows {}, found {}: give the Hugging Face "
       "directory that the file was made from",
       file.place_of(pre_key), fmt::join(names, ", "), name ? in_quotes(*name) : "none");
}

GgufVocabulary read_vocabulary(const GgufFile& file) {
  GgufVocabulary vocabulary;
  vocabulary.kind = kind_of(file);
  refuse_unknown_keys(file);
  const bool sentencepiece = vocabulary.kind == TokenizerKind::sentencepiece;
  vocabulary.tokens = read_tokens(file, vocabulary.kind);
  drop_padding(vocabulary.tokens);
  vocabulary.pieces = count_pieces(vocabulary.tokens, vocabulary.kind);
  const std::size_t count = vocabulary.tokens.size();
  const auto role = [&](const char* key, std::int64_t usual) {
    const std::optional<std::int64_t> id = id_in(file, key, count);
    // What llama.cpp takes for SentencePiece's where nothing is said.
    return !id && sentencepiece && usual >= 0 && usual < static_cast<std::int64_t>(count)
               ? std::optional(usual)
               : id;
  };
  vocabulary.unk = role("tokenizer.ggml.unknown_token_id", 0);
  vocabulary.bos = role("tokenizer.ggml.bos_token_id", 1);
  vocabulary.eos = role("tokenizer.ggml.eos_token_id", 2);
  vocabulary.pad = role("tokenizer.ggml.padding_token_id", -1);
  const bool usually_bos = sentencepiece || pre_tokenizing_of(file).adds_bos;
  vocabulary.adds_bos = vocabulary.bos && file.flag(add_bos_key).value_or(usually_bos);
  vocabulary.adds_eos = vocabulary.eos && file.flag(add_eos_key).value_or(false);
  return vocabulary;
}

json added_token(const Token& token) {
  return {{"content", token.text}, {"single_word", false},
          {"lstrip", false},       {"rstrip", false},
          {"normalized", false},   {"special", token.type == TokenType::control}};
}

json settings_of(const GgufVocabulary& vocabulary) {
  json settings = {{"tokenizer_class", "PreTrainedTokenizerFast"},
                   {"clean_up_tokenization_spaces", false},
                   {"add_bos_token", vocabulary.adds_bos},
                   {"add_eos_token", vocabulary.adds_eos}};
  const auto set = [&](const char* role, const std::optional<std::int64_t>& id) {
    settings[role] = id ? json(vocabulary.text(*id)) : json();
  };
  set("bos_token", vocabulary.bos);
  set("eos_token", vocabulary.eos);
  set("unk_token", vocabulary.unk);
  set("pad_token", vocabulary.pad);
  json& decoder = settings[added_tokens_decoder_key] = json::object();
  for (std::size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    const Token& token = vocabulary.tokens[id];
    const bool listed = id >= vocabulary.pieces ||
                        (vocabulary.kind == TokenizerKind::byte_level && token.is_marked());
    if (listed) decoder[std::to_string(id)] = added_token(token);
  }
  return settings;
}

/// What the file puts around a text by itself.
json post_processor_of(const GgufVocabulary& vocabulary) {
  if (!vocabulary.adds_bos && !vocabulary.adds_eos) return {};
  json around = json::object(), single = json::array(), pair = json::array();
  const auto add = [&](std::int64_t id) {
    const std::string& text = vocabulary.text(id);
    around[text] = {{"id", text}, {"ids", {id}}, {"tokens", {text}}};
    single.push_back({{"SpecialToken", {{"id", text}, {"type_id", 0}}}});
    pair.push_back(single.back());
  };
  const auto sequence = [](const char* name) {
    return json{{"Sequence", {{"id", name}, {"type_id", 0}}}};
  };
  if (vocabulary.adds_bos) add(*vocabulary.bos);
  single.push_back(sequence("A"));
  pair.push_back(sequence("A"));
  pair.push_back(sequence("B"));
  if (vocabulary.adds_eos) add(*vocabulary.eos);
  return {{"type", "TemplateProcessing"},
          {"single", single},
          {"pair", pair},
          {"special_tokens", around}};
}

json pre_tokenizer_of(const PreTokenizing& pre) {
  json steps = json::array();
  const bool gpt2s = pre.regex == gpt2_regex;  // which ByteLevel has built in
  if (pre.digits_alone) steps.push_back({{"type", "Digits"}, {"individual_digits", true}});
  if (!gpt2s) {
    steps.push_back({{"type", "Split"},
                     {"pattern", {{"Regex", pre.regex}}},
                     {"behavior", "Isolated"},
                     {"invert", false}});
  }
  steps.push_back({{"type", "ByteLevel"},
                   {"add_prefix_space", false},
                   {"trim_offsets", true},
                   {"use_regex", gpt2s}});
  return {{"type", "Sequence"}, {"pretokenizers", steps}};
}

json tokenizer_json_of(const GgufVocabulary& vocabulary, const GgufFile& file) {
  const PreTokenizing& pre = pre_tokenizing_of(file);
  const auto merges = file.texts(merges_key);
  if (!merges) fail(ErrorKind::data, "{}: is missing", file.place_of(merges_key));
  json vocab = json::object(), added = json::array();
  for (std::size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    const Token& token = vocabulary.tokens[id];
    if (id < vocabulary.pieces) vocab[token.text] = id;
    if (!token.is_marked()) continue;
    added.push_back(added_token(token));
    added.back()["id"] = id;
  }
  json pairs = json::array();
  for (const std::string_view merge : *merges) {
    if (!valid_utf8(merge)) {
      fail(ErrorKind::data, "{}: should be texts in UTF-8", file.place_of(merges_key));
    }
    pairs.push_back(merge);
  }
  const json byte_level = {{"type", "ByteLevel"},
                           {"add_prefix_space", true},
                           {"trim_offsets", true},
                           {"use_regex", true}};
  return {{"version", "1.0"},
          {"truncation", nullptr},
          {"padding", nullptr},
          {"added_tokens", added},
          {"normalizer", pre.normalises ? json{{"type", "NFC"}} : json()},
          {"pre_tokenizer", pre_tokenizer_of(pre)},
          {"post_processor", post_processor_of(vocabulary)},
          {"decoder", byte_level},
          {"model",
           {{"type", "BPE"},
            {"dropout", nullptr},
            {"unk_token", nullptr},
            {"continuing_subword_prefix", nullptr},
            {"end_of_word_suffix", nullptr},
            {"fuse_unk", false},
            {"byte_fallback", false},
            {"ignore_merges", pre.ignores_merges},
            {"vocab", vocab},
            {"merges", pairs}}}};
}

/// Writes fields of a message of sentencepiece_model.proto.
class ProtoWriter {
 public:
  void number(unsigned field, std::uint64_t value) {
    varint(std::uint64_t{field} << 3U);
    varint(value);
  }
  void real(unsigned field, float value) {
    varint(std::uint64_t{field} << 3U | 5U);
    auto bits = std::bit_cast<std::uint32_t>(value);
    for (int i = 0; i < 4; ++i, bits >>= 8U) bytes_ += static_cast<char>(bits & 0xFFU);
  }
  void text(unsigned field, std::string_view value) {
    varint(std::uint64_t{field} << 3U | 2U);
    varint(value.size());
    bytes_ += value;
  }
  const std::string& bytes() const { return bytes_; }

 private:
  void varint(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7U) bytes_ += static_cast<char>((value & 0x7FU) | 0x80U);
    bytes_ += static_cast<char>(value);
  }

  std::string bytes_;
};

/// The text of a piece. llama.cpp's conversion has spaces in user-defined ones, where SentencePiece has
/// its symbol.
std::string piece_of(const Token& token) {
  if (token.type != TokenType::user_defined) return token.text;
  std::string piece;
  for (const char byte : token.text) {
    if (byte == ' ') {
      piece += piece_space;
    } else {
      piece += byte;
    }
  }
  return piece;
}

/// ModelProto: BPE by scores, with a token for each byte that no piece spells, and texts as they are.
std::string sentencepiece_model_of(const GgufVocabulary& vocabulary, const GgufFile& file) {
  ProtoWriter model;
  const std::span<const Token> pieces(vocabulary.tokens.data(), vocabulary.pieces);
  for (const Token& token : pieces) {
    ProtoWriter piece;
    piece.text(1, piece_of(token));
    piece.real(2, token.score);
    piece.number(3, static_cast<std::uint64_t>(token.type));
    model.text(1, piece.bytes());
  }
  ProtoWriter trainer;
  trainer.number(3, 2);  // model_type: BPE
  trainer.number(4, pieces.size());
  trainer.number(35, std::any_of(pieces.begin(), pieces.end(),
                                 [](const Token& token) { return token.type == TokenType::byte; })
                         ? 1
                         : 0);  // byte_fallback
  const auto role = [&](unsigned id_field, unsigned piece_field,
                        const std::optional<std::int64_t>& id) {
    const bool is_piece = id && static_cast<std::size_t>(*id) < pieces.size();
    // -1, a number of 64 bits there, for none.
    trainer.number(id_field, is_piece ? static_cast<std::uint64_t>(*id) : ~std::uint64_t{0});
    if (is_piece) trainer.text(piece_field, vocabulary.text(*id));
  };
  role(40, 45, vocabulary.unk);
  role(41, 46, vocabulary.bos);
  role(42, 47, vocabulary.eos);
  role(43, 48, vocabulary.pad);
  model.text(2, trainer.bytes());
  ProtoWriter normalizer;
  normalizer.text(1, "identity");
  normalizer.number(3, file.flag(space_key).value_or(true) ? 1 : 0);          // add_dummy_prefix
  normalizer.number(4, file.flag(extra_spaces_key).value_or(false) ? 1 : 0);  // remove_extra_...
  normalizer.number(5, 1);                                                    // escape_whitespaces
  model.text(3, normalizer.bytes());
  return model.bytes();
}

}  // namespace

GgufTokenizer gguf_tokenizer(const GgufFile& file) {
  const GgufVocabulary vocabulary = read_vocabulary(file);
  GgufTokenizer result;
  result.settings = settings_of(vocabulary);
  if (vocabulary.kind == TokenizerKind::byte_level) {
    result.json = tokenizer_json_of(vocabulary, file);
    result.vocabulary = result.json.dump(1) + "\n";
  } else {
    result.vocabulary = sentencepiece_model_of(vocabulary, file);
    // Gemma's puts no space before texts, LLaMA's does.
    result.settings["tokenizer_class"] =
        file.flag(space_key).value_or(true) ? "LlamaTokenizer" : "GemmaTokenizer";
    result.settings["legacy"] = true;
  }
  return result;
}

std::vector<std::int64_t> gguf_end_ids(const GgufFile& file) {
  constexpr std::array names = std::to_array<std::string_view>(
      {"<|eot_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>", "<|endoftext|>", "<|eom_id|>"});
  const std::vector<std::string_view> tokens =
      file.texts(tokens_key).value_or(std::vector<std::string_view>());
  const std::vector<double> types = file.numbers(types_key).value_or(std::vector<double>());
  std::vector<std::int64_t> ids;
  const auto add = [&](std::int64_t id) {
    if (std::find(ids.begin(), ids.end(), id) == ids.end()) ids.push_back(id);
  };
  for (const char* key : {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id",
                          "tokenizer.ggml.eom_token_id"}) {
    if (const auto id = id_in(file, key, tokens.size())) add(*id);
  }
  for (std::size_t i = 0; i < std::min(tokens.size(), types.size()); ++i) {
    const bool control = types[i] == static_cast<double>(TokenType::control);
    if (control && std::find(names.begin(), names.end(), tokens[i]) != names.end()) {
      add(static_cast<std::int64_t>(i));
    }
  }
  return ids;
}

std::optional<std::int64_t> gguf_bos_id(const GgufFile& file) {
  return id_in(file, "tokenizer.ggml.bos_token_id", tokens_of(file));
}

}  // namespace gist
