#include "formats/model/word_encoder.h"

#include <sentencepiece_processor.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "formats/files/text.h"
#include "kernels/error.h"

namespace gist {
namespace {

constexpr std::string_view space_symbol = "\xE2\x96\x81";  // U+2581, which stands for a space
constexpr std::size_t most_words = std::size_t{1} << 17;
constexpr std::size_t longest_word = 48;  // bytes that are worth keeping

/// A field of a protocol buffer's message.
struct Field {
  std::uint64_t number = 0;
  std::uint64_t value = 0;  // of a varint
  std::string_view bytes;   // of a string, or a message within
};

/// The number at the beginning of a message, which is taken off.
std::optional<std::uint64_t> take_varint(std::string_view& message) {
  std::uint64_t value = 0;
  for (unsigned shift = 0; shift < 64 && !message.empty(); shift += 7) {
    const auto byte = static_cast<unsigned char>(message.front());
    message.remove_prefix(1);
    value |= std::uint64_t{byte & 0x7FU} << shift;
    if (byte < 0x80) return value;
  }
  return std::nullopt;
}

/// The next field of a message, which is taken off; nothing at its end, or where it is damaged.
std::optional<Field> take_field(std::string_view& message) {
  const std::optional<std::uint64_t> key = take_varint(message);
  if (!key) return std::nullopt;
  Field field;
  field.number = *key >> 3U;
  std::optional<std::uint64_t> size;
  switch (*key & 7U) {
    case 0: {
      const std::optional<std::uint64_t> value = take_varint(message);
      if (!value) return std::nullopt;
      field.value = *value;
      return field;
    }
    case 1:
      size = 8;
      break;
    case 2:
      size = take_varint(message);
      break;
    case 5:
      size = 4;
      break;
    default:
      break;
  }
  if (!size || *size > message.size()) return std::nullopt;
  field.bytes = message.substr(0, *size);
  message.remove_prefix(*size);
  return field;
}

/// The fields of sentencepiece_model.proto that decide, with their defaults.
struct ModelSettings {
  bool bpe = false;
  bool byte_fallback = false;
  bool space_before_text = true;
  bool spaces_stay = false;
  bool spaces_are_symbols = true;
  bool space_behind_words = false;
  bool normalises = false;
  bool piece_goes_on_behind_space = false;  // "a▁"
  bool piece_has_line_end = false;
  bool space_is_piece = false;
};

void read_trainer_spec(std::string_view message, ModelSettings& settings) {
  while (const std::optional<Field> field = take_field(message)) {
    if (field->number == 3) settings.bpe = field->value == 2;
    if (field->number == 24) settings.space_behind_words = field->value != 0;
    if (field->number == 35) settings.byte_fallback = field->value != 0;
  }
}

/// A model may have several, which count as one.
void read_normalizer_spec(std::string_view message, ModelSettings& settings) {
  while (const std::optional<Field> field = take_field(message)) {
    if (field->number == 2) settings.normalises = !field->bytes.empty();
    if (field->number == 3) settings.space_before_text = field->value != 0;
    if (field->number == 4) settings.spaces_stay = field->value == 0;
    if (field->number == 5) settings.spaces_are_symbols = field->value != 0;
    if (field->number == 6) settings.normalises = settings.normalises || !field->bytes.empty();
  }
}

void read_piece(std::string_view message, ModelSettings& settings) {
  std::string_view piece;
  std::uint64_t type = 1;
  while (const std::optional<Field> field = take_field(message)) {
    if (field->number == 1) piece = field->bytes;
    if (field->number == 3) type = field->value;
  }
  const bool in_texts = type == 1 || type == 4 || type == 5;  // normal, user-defined, unused
  if (!in_texts) return;
  if (piece.find('\n') != std::string_view::npos) settings.piece_has_line_end = true;
  if (piece == space_symbol) settings.space_is_piece = true;
  while (piece.starts_with(space_symbol)) piece.remove_prefix(space_symbol.size());
  if (piece.find(space_symbol) != std::string_view::npos ||
      piece.find(' ') != std::string_view::npos) {
    settings.piece_goes_on_behind_space = true;
  }
}

/// Reads the settings of a serialized model. Where it doesn't say that spaces stay, they don't.
ModelSettings settings_of(std::string_view model) {
  ModelSettings settings;
  while (const std::optional<Field> field = take_field(model)) {
    if (field->number == 1) read_piece(field->bytes, settings);
    if (field->number == 2) read_trainer_spec(field->bytes, settings);
    if (field->number == 3) read_normalizer_spec(field->bytes, settings);
  }
  return settings;
}

}  // namespace

TextCuts text_cuts(std::string_view model) {
  const ModelSettings settings = settings_of(model);
  const bool words = settings.bpe && settings.spaces_stay && settings.spaces_are_symbols &&
                     !settings.space_behind_words && !settings.normalises &&
                     settings.space_is_piece;
  TextCuts cuts;
  cuts.space_before_text = settings.space_before_text;
  cuts.at_spaces = words && !settings.piece_goes_on_behind_space;
  // Unknown characters side by side are one token, unless they are spelled as bytes.
  cuts.at_line_ends = words && !settings.piece_has_line_end && settings.byte_fallback;
  return cuts;
}

std::optional<std::string> without_space_before_text(std::string_view model) {
  const ModelSettings settings = settings_of(model);
  if (!settings.spaces_stay || settings.space_behind_words) return std::nullopt;
  // normalizer_spec { add_dummy_prefix: false }: protocol buffers merge it with the one before.
  constexpr std::string_view setting("\x1A\x02\x18\x00", 4);
  return std::string(model).append(setting);
}

WordEncoder::WordEncoder(const sentencepiece::SentencePieceProcessor& processor,
                         std::string_view model)
    : processor_(&processor), cuts_(text_cuts(model)), space_(processor.PieceToId(space_symbol)) {}

/// The parts of a text: the first, and then such as begin with spaces or one line end.
std::size_t WordEncoder::end_of_part(std::string_view text, std::size_t begin) const {
  // A part's own first character and the spaces with which it begins are behind us.
  std::size_t at = std::min(text.find_first_not_of(' ', begin), text.size());
  if (at == begin) ++at;
  for (;;) {
    at = text.find_first_of(" \n", at);
    if (at == std::string_view::npos) return text.size();
    if (text[at] == '\n') {
      if (cuts_.at_line_ends) return at;
      ++at;
      continue;
    }
    const std::size_t next = std::min(text.find_first_not_of(' ', at), text.size());
    // Nothing but spaces, or a space symbol before them, which pieces may have side by side.
    const bool whole =
        next == text.size() || text[next] == '\n' || text.substr(0, at).ends_with(space_symbol);
    if (cuts_.at_spaces && !whole) return at;
    at = next;
  }
}

std::vector<int> WordEncoder::encode_part(std::string_view part) const {
  if (part.size() > longest_part) {
    fail(ErrorKind::data,
         "{} bytes of text that can't be taken apart, beginning with {}: at most {} can be turned "
         "into tokens at once",
         part.size(), in_quotes(part), longest_part);
  }
  std::vector<int> ids;
  const auto status = processor_->Encode(part, &ids);
  if (!status.ok()) {
    fail(ErrorKind::internal, "SentencePiece can't encode {}: {}", in_quotes(part),
         status.ToString());
  }
  return ids;
}

/// Encodes a word and appends its ids. Where SentencePiece adds a space, `word` is without the one
/// before it; a word that begins with a line end has none, so the id of that space is dropped.
void WordEncoder::append_word(std::string_view word, Words& words,
                              std::vector<std::int32_t>& ids) const {
  const auto append = [&](const std::vector<int>& found) {
    const bool no_space = cuts_.space_before_text && cuts_.at_line_ends && word.front() == '\n';
    ids.insert(ids.end(), found.begin() + (no_space ? 1 : 0), found.end());
  };
  const auto known = words.find(word);
  if (known != words.end()) return append(known->second);
  std::vector<int> found = encode_part(word);
  append(found);
  if (word.size() > longest_word || words.size() == most_words) return;
  words.emplace(word, std::move(found));
}

std::unique_ptr<WordEncoder::Words> WordEncoder::borrow() const {
  const std::lock_guard lock(mutex_);
  if (idle_.empty()) return std::make_unique<Words>();
  std::unique_ptr<Words> words = std::move(idle_.back());
  idle_.pop_back();
  return words;
}

void WordEncoder::give_back(std::unique_ptr<Words> words) const {
  const std::lock_guard lock(mutex_);
  idle_.push_back(std::move(words));
}

std::vector<std::int32_t> WordEncoder::encode(std::string_view text) const {
  if (!cuts_.at_spaces || text.empty()) {
    const std::vector<int> ids = encode_part(text);
    return {ids.begin(), ids.end()};
  }
  std::vector<std::int32_t> ids;
  std::unique_ptr<Words> words = borrow();
  // The text is encoded as if a space stood before it, which words are given without; a line end
  // has a space before it.
  if (cuts_.space_before_text && cuts_.at_line_ends && text.front() == '\n') {
    ids.push_back(space_);
  }
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = end_of_part(text, begin);
    const bool gets_space = cuts_.space_before_text && begin > 0 && text[begin] == ' ';
    const std::size_t word = begin + (gets_space ? 1 : 0);
    append_word(text.substr(word, end - word), *words, ids);
    begin = end;
  }
  give_back(std::move(words));
  return ids;
}

}  // namespace gist
