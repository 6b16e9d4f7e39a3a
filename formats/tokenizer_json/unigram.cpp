#include "formats/tokenizer_json/unigram.h"

#include <algorithm>
#include <limits>

#include "formats/files/text.h"
#include "formats/tokenizer_json/bpe.h"
#include "formats/tokenizer_json/text_pattern.h"
#include "kernels/error.h"

namespace gist {
namespace {

/// How much worse than all pieces a character is that no piece spells.
constexpr double unk_penalty = 10;

/// The best way to spell a word up to a place.
struct Best {
  double score = 0;
  std::int32_t id = -1;
  std::int64_t from = -1;  // where its last piece begins; -1: nothing leads here
};

}  // namespace

UnigramModel::UnigramModel(const JsonPart& part) : place_(part.place()) {
  part.allow({"type", "vocab", "unk_id", "byte_fallback"});
  byte_fallback_ = part.member("byte_fallback").flag(false);
  const JsonPart vocab = part.member("vocab");
  double least = std::numeric_limits<double>::infinity();
  for (const JsonPart& entry : vocab.items()) {
    const std::vector<JsonPart> both = entry.items();
    if (both.size() != 2) entry.refuse("a piece and its score");
    const auto id = static_cast<std::int32_t>(pieces_.size());
    if (id == most_tokens) vocab.refuse("fewer pieces");
    pieces_.push_back(both[0].text());
    if (pieces_.back().empty()) entry.refuse("no empty piece");
    scores_.push_back(both[1].number());
    least = std::min(least, scores_.back());
    if (!ids_.emplace(pieces_.back(), id).second) entry.refuse("each piece once");
  }
  if (pieces_.empty()) vocab.refuse("at least one piece");
  unk_score_ = least - unk_penalty;
  const JsonPart unk = part.member("unk_id");
  if (!unk.is_null()) {
    unk_ = static_cast<std::int32_t>(unk.integer(0, static_cast<std::int64_t>(pieces_.size()) - 1));
  }
  for (int byte = 0; byte < 256; ++byte) {
    bytes_.push_back(find(fmt::format("<0x{:02X}>", byte)).value_or(-1));
  }
  build_trie({});
}

void UnigramModel::build_trie(const std::vector<bool>& excluded) {
  std::vector<std::pair<std::string_view, std::int32_t>> keys;
  keys.reserve(pieces_.size());
  for (std::size_t id = 0; id < pieces_.size(); ++id) {
    const bool is_character = character_bytes(pieces_[id]) == pieces_[id].size();
    if (id < excluded.size() && excluded[id] && !is_character) continue;
    keys.emplace_back(pieces_[id], static_cast<std::int32_t>(id));
  }
  trie_ = ByteTrie(std::move(keys));
}

std::optional<std::int32_t> UnigramModel::find(std::string_view piece) const {
  const auto found = ids_.find(piece);
  return found == ids_.end() ? std::nullopt : std::optional(found->second);
}

void UnigramModel::exclude(const std::vector<bool>& ids) {
  excluded_ = ids;
  build_trie(ids);
}

/// Of a piece, or of characters in a row that no piece spells.
void UnigramModel::append(std::string_view piece, std::vector<std::int32_t>& ids) const {
  std::optional<std::int32_t> id = find(piece);
  if (id && static_cast<std::size_t>(*id) < excluded_.size() &&
      excluded_[static_cast<std::size_t>(*id)] && character_bytes(piece) != piece.size()) {
    id.reset();
  }
  const auto id_of = [&](char byte) { return bytes_[static_cast<unsigned char>(byte)]; };
  if (id) {
    ids.push_back(*id);
  } else if (byte_fallback_ &&
             std::all_of(piece.begin(), piece.end(), [&](char byte) { return id_of(byte) >= 0; })) {
    for (const char byte : piece) ids.push_back(id_of(byte));
  } else {
    ids.push_back(*unk_);
  }
}

void UnigramModel::encode(std::string_view word, std::vector<std::int32_t>& ids) const {
  std::vector<Best> best(word.size() + 1);
  const auto offer = [&](std::size_t from, std::size_t end, std::int32_t id, double score) {
    Best& known = best[end];
    if (known.from < 0 || score > known.score) {
      known = {score, id, static_cast<std::int64_t>(from)};
    }
  };
  for (std::size_t at = 0; at < word.size();) {
    const std::string_view rest = word.substr(at);
    const std::size_t character = std::max<std::size_t>(1, character_bytes(rest));
    const double here = best[at].score;
    bool spelled = false;
    trie_.each_prefix(rest, [&](std::size_t bytes, std::int32_t id) {
      offer(at, at + bytes, id, scores_[static_cast<std::size_t>(id)] + here);
      spelled = spelled || bytes == character;
    });
    if (!spelled) {
      if (!unk_) {
        fail(ErrorKind::data, "{}: the vocabulary can't spell {}, and has no unk_id", place_,
             in_quotes(rest.substr(0, character)));
      }
      offer(at, at + character, *unk_, unk_score_ + here);
    }
    at += character;
  }
  std::vector<Span> parts;  // from the end
  bool unknown = false;     // whether the last part is of characters that no piece spells
  for (std::size_t end = word.size(); end > 0;) {
    const Best& last = best[end];
    const auto from = static_cast<std::size_t>(last.from);
    const bool is_unknown = unk_ && last.id == *unk_;
    if (is_unknown && unknown) {
      parts.back().begin = from;
    } else {
      parts.push_back({from, end});
    }
    unknown = is_unknown;
    end = from;
  }
  for (auto part = parts.rbegin(); part != parts.rend(); ++part) {
    append(word.substr(part->begin, part->end - part->begin), ids);
  }
}

}  // namespace gist
