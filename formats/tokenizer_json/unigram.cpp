#include "formats/tokenizer_json/unigram.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <utility>

#include "core/utf8.h"
#include "formats/files/text.h"
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
    if (std::ssize(scores_) == most_tokens) vocab.refuse("fewer pieces");
    std::string piece = both[0].text();
    if (piece.empty()) entry.refuse("no empty piece");
    scores_.push_back(both[1].number());
    least = std::min(least, scores_.back());
    if (!table_.add(std::move(piece))) entry.refuse("each piece once");
  }
  if (pieces().empty()) vocab.refuse("at least one piece");
  unk_score_ = least - unk_penalty;
  const JsonPart unk = part.member("unk_id");
  if (!unk.is_null()) {
    unk_ = static_cast<std::int32_t>(unk.integer(0, std::ssize(pieces()) - 1));
  }
  table_.find_bytes();
}

bool UnigramModel::may_be_text(std::int32_t id) const {
  return !table_.is_excluded(id) || is_one_character(pieces()[static_cast<std::size_t>(id)]);
}

void UnigramModel::exclude(const std::vector<bool>& ids) {
  table_.exclude(ids);
  std::vector<std::pair<std::string_view, std::int32_t>> keys;
  keys.reserve(pieces().size());
  for (std::int32_t id = 0; id < std::ssize(pieces()); ++id) {
    if (may_be_text(id)) keys.emplace_back(pieces()[static_cast<std::size_t>(id)], id);
  }
  trie_ = ByteTrie(std::move(keys));
}

/// Of a piece, or of characters in a row that no piece spells.
void UnigramModel::append(std::string_view piece, std::vector<std::int32_t>& ids) const {
  const std::optional<std::int32_t> id = find(piece);
  if (id && may_be_text(*id)) {
    ids.push_back(*id);
  } else if (!byte_fallback_ ||
             !table_.spell(piece, [&](std::int32_t byte) { ids.push_back(byte); })) {
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
    const std::size_t character = first_character(rest).bytes;
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
