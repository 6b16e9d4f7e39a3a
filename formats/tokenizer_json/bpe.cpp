#include "formats/tokenizer_json/bpe.h"

#include <algorithm>
#include <queue>
#include <utility>

#include "core/utf8.h"
#include "formats/files/text.h"
#include "kernels/error.h"

namespace gist {
namespace {

std::uint64_t key_of(std::int32_t left, std::int32_t right) {
  return std::uint64_t{static_cast<std::uint32_t>(left)} << 32U | static_cast<std::uint32_t>(right);
}

std::string text_or_nothing(const JsonPart& part) {
  return part.is_null() ? std::string() : part.text();
}

/// A merge that may be due: both symbols may have changed since.
struct Due {
  std::int32_t rank, at, id;
};

/// For a heap with the lowest rank on top, and the leftmost of equal ones.
struct Later {
  bool operator()(const Due& a, const Due& b) const {
    return a.rank != b.rank ? a.rank > b.rank : a.at > b.at;
  }
};

/// What stands for a space in vocabularies like SentencePiece's.
constexpr std::string_view space = "\u2581";

/// Where the first space begins that doesn't stand behind another one, or at the beginning.
std::size_t first_space(std::string_view text) {
  std::size_t at = 0;
  while (text.substr(at).starts_with(space)) at += space.size();
  return std::min(text.find(space, at), text.size());
}

/// "a b", or ["a", "b"].
std::pair<std::string, std::string> pair_in(const JsonPart& merge) {
  if (merge.value().is_array()) {
    const std::vector<JsonPart> both = merge.items();
    if (both.size() != 2) merge.refuse("two texts");
    return {both[0].text(), both[1].text()};
  }
  const std::string text = merge.text();
  const std::size_t space = text.find(' ');
  if (space == std::string::npos || text.find(' ', space + 1) != std::string::npos) {
    merge.refuse("two texts with a space between them");
  }
  return {text.substr(0, space), text.substr(space + 1)};
}

}  // namespace

BpeModel::BpeModel(const JsonPart& part) : place_(part.place()) {
  part.allow({"type", "vocab", "merges", "dropout", "unk_token", "continuing_subword_prefix",
              "end_of_word_suffix", "fuse_unk", "byte_fallback", "ignore_merges"});
  const JsonPart dropout = part.member("dropout");
  if (!dropout.is_null() && dropout.number() != 0) {
    dropout.refuse("none: gist leaves out no merges by chance");
  }
  prefix_ = text_or_nothing(part.member("continuing_subword_prefix"));
  suffix_ = text_or_nothing(part.member("end_of_word_suffix"));
  fuse_unk_ = part.member("fuse_unk").flag(false);
  byte_fallback_ = part.member("byte_fallback").flag(false);
  ignore_merges_ = part.member("ignore_merges").flag(false);
  read_vocabulary(part.member("vocab"));
  read_merges(part.member("merges"));
  unk_name_ = text_or_nothing(part.member("unk_token"));
  unk_ = find(unk_name_);
  cuts_at_spaces_ = !ignore_merges_ && prefix_.empty() && suffix_.empty() &&
                    find(space).has_value() && pieces_end_before_spaces();
}

void BpeModel::read_vocabulary(const JsonPart& vocab) {
  if (!vocab.value().is_object() || vocab.value().empty()) vocab.refuse("an object of pieces");
  const std::size_t count = vocab.value().size();
  std::vector<std::string> by_id(count);
  for (const auto& [piece, number] : vocab.value().items()) {
    const JsonPart id(number, vocab.place() + "." + in_quotes(piece));
    const auto at = static_cast<std::size_t>(
        id.integer(0, std::min<std::int64_t>(most_tokens, static_cast<std::int64_t>(count)) - 1));
    if (!by_id[at].empty()) {
      fail(ErrorKind::data, "{}: has the id {} of {}", id.place(), at, in_quotes(by_id[at]));
    }
    if (piece.empty()) id.refuse("no empty piece");
    by_id[at] = piece;
  }
  for (std::string& piece : by_id) table_.add(std::move(piece));
  table_.find_bytes();
}

void BpeModel::read_merges(const JsonPart& merges) {
  const std::vector<JsonPart> all = merges.items();
  merges_.reserve(all.size());
  std::int32_t rank = 0;
  for (const JsonPart& merge : all) {
    const auto [left, right] = pair_in(merge);
    const std::string whole =
        left + (right.starts_with(prefix_) ? right.substr(prefix_.size()) : right);
    const auto left_id = find(left), right_id = find(right), id = find(whole);
    if (!left_id || !right_id || !id) {
      merge.refuse(fmt::format("a merge of pieces; the vocabulary has no {}",
                               in_quotes(!left_id    ? left
                                         : !right_id ? right
                                                     : whole)));
    }
    merges_.insert_or_assign(key_of(*left_id, *right_id), Merge{rank++, *id});
  }
}

bool BpeModel::pieces_end_before_spaces() const {
  return std::all_of(pieces().begin(), pieces().end(),
                     [](const std::string& piece) { return first_space(piece) == piece.size(); });
}

std::size_t BpeModel::part_bytes(std::string_view word) const {
  return cuts_at_spaces_ ? first_space(word) : word.size();
}

void BpeModel::exclude(const std::vector<bool>& ids) {
  table_.exclude(ids);
  std::erase_if(merges_, [&](const auto& merge) { return table_.is_excluded(merge.second.id); });
}

/// What text may become.
std::optional<std::int32_t> BpeModel::from_text(std::string_view piece) const {
  const std::optional<std::int32_t> id = find(piece);
  return id && table_.is_excluded(*id) ? std::nullopt : id;
}

std::vector<BpeModel::Symbol> BpeModel::symbols_of(std::string_view word) const {
  std::vector<Symbol> symbols;
  symbols.reserve(word.size());
  int unknown = 0;  // characters in a row that wait for the token of unknown ones
  const auto flush = [&] {
    if (unknown > 0) symbols.push_back({*unk_, -1, -1, true});
    unknown = 0;
  };
  for (std::string_view rest = word; !rest.empty();) {
    const std::size_t bytes = first_character(rest).bytes;
    const bool is_first = rest.size() == word.size(), is_last = rest.size() == bytes;
    const std::string_view character = rest.substr(0, bytes);
    rest.remove_prefix(bytes);
    std::string marked;
    if (!is_first && !prefix_.empty()) marked += prefix_;
    marked += character;
    if (is_last && !suffix_.empty()) marked += suffix_;
    // A character by itself may be what a role was given to: it is text nevertheless.
    if (const std::optional<std::int32_t> id = find(marked)) {
      flush();
      symbols.push_back({*id, -1, -1, true});
      continue;
    }
    const auto append = [&](std::int32_t id) { symbols.push_back({id, -1, -1, true}); };
    if (byte_fallback_ && table_.spell(marked, append)) continue;
    if (unk_name_.empty()) continue;  // as PyPI's tokenizers, which drops it
    if (!unk_) {
      fail(ErrorKind::data, "{}: the vocabulary can't spell {}, and doesn't have its unk_token {}",
           place_, in_quotes(character), in_quotes(unk_name_));
    }
    if (!fuse_unk_) flush();
    ++unknown;
  }
  flush();
  for (std::size_t i = 0; i < symbols.size(); ++i) {
    symbols[i].previous = static_cast<std::int32_t>(i) - 1;
    symbols[i].next = i + 1 < symbols.size() ? static_cast<std::int32_t>(i) + 1 : -1;
  }
  return symbols;
}

const BpeModel::Merge* BpeModel::merge_of(std::int32_t left, std::int32_t right) const {
  const auto found = merges_.find(key_of(left, right));
  return found == merges_.end() ? nullptr : &found->second;
}

void BpeModel::merge_all(std::vector<Symbol>& symbols) const {
  std::vector<Due> initial;
  initial.reserve(symbols.size());
  const auto due_at = [&](std::int32_t at) -> std::optional<Due> {
    const Symbol& left = symbols[static_cast<std::size_t>(at)];
    if (left.next < 0) return std::nullopt;
    const Merge* merge = merge_of(left.id, symbols[static_cast<std::size_t>(left.next)].id);
    if (merge == nullptr) return std::nullopt;
    return Due{merge->rank, at, merge->id};
  };
  for (std::int32_t at = 0; at < static_cast<std::int32_t>(symbols.size()); ++at) {
    if (const auto due = due_at(at)) initial.push_back(*due);
  }
  std::priority_queue<Due, std::vector<Due>, Later> queue(Later(), std::move(initial));
  const auto push = [&](std::int32_t at) {
    if (at < 0) return;
    if (const auto due = due_at(at)) queue.push(*due);
  };
  while (!queue.empty()) {
    const Due due = queue.top();
    queue.pop();
    Symbol& left = symbols[static_cast<std::size_t>(due.at)];
    if (!left.alive || left.next < 0) continue;
    Symbol& right = symbols[static_cast<std::size_t>(left.next)];
    const Merge* merge = merge_of(left.id, right.id);
    if (merge == nullptr || merge->id != due.id) continue;  // the neighbours have changed
    left.id = merge->id;
    left.next = right.next;
    right.alive = false;
    if (right.next >= 0) symbols[static_cast<std::size_t>(right.next)].previous = due.at;
    push(left.previous);
    push(due.at);
  }
}

void BpeModel::encode(std::string_view word, std::vector<std::int32_t>& ids) const {
  if (ignore_merges_) {
    if (const std::optional<std::int32_t> whole = from_text(word)) {
      ids.push_back(*whole);
      return;
    }
  }
  if (word.size() > static_cast<std::size_t>(INT32_MAX) / 2) {
    fail(ErrorKind::data, "a text has a word of {} bytes: too long", word.size());
  }
  std::vector<Symbol> symbols = symbols_of(word);
  merge_all(symbols);
  for (const Symbol& symbol : symbols) {
    if (symbol.alive) ids.push_back(symbol.id);
  }
}

}  // namespace gist
