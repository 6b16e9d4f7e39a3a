#include "cli/report/word_diff.h"

#include <algorithm>
#include <span>

namespace gist {
namespace {

using Kind = DiffPart::Kind;

bool is_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

struct Word {
  std::string_view word;   // what is compared
  std::string_view whole;  // with the white space behind it, that before the first word, too
};

std::vector<Word> words_of(std::string_view text) {
  std::vector<Word> words;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t whole = at;
    while (words.empty() && at < text.size() && is_space(text[at])) ++at;
    const std::size_t begin = at;
    while (at < text.size() && !is_space(text[at])) ++at;
    const std::size_t end = at;
    while (at < text.size() && is_space(text[at])) ++at;
    words.push_back({text.substr(begin, end - begin), text.substr(whole, at - whole)});
  }
  return words;
}

/// Collects parts, and joins neighbours of a kind: they stand side by side in one text.
class Parts {
 public:
  void add(Kind kind, std::span<const Word> words) {
    for (const Word& word : words) add(kind, word);
  }
  void add(Kind kind, const Word& word) {
    if (parts_.empty() || parts_.back().kind != kind) {
      parts_.push_back({kind, word.whole});
      return;
    }
    std::string_view& last = parts_.back().text;
    last = {last.data(), last.size() + word.whole.size()};
  }
  std::vector<DiffPart> take() { return std::move(parts_); }

 private:
  std::vector<DiffPart> parts_;
};

/// The longest common subsequence, by its classical table. Of equal lengths what the text lacks
/// comes first.
void add_between(Parts& parts, std::span<const Word> text, std::span<const Word> reference,
                 std::size_t most_cells) {
  const std::size_t rows = reference.size(), columns = text.size();
  if (rows == 0 || columns == 0 || rows > most_cells / columns) {
    parts.add(Kind::missing, reference);
    parts.add(Kind::added, text);
    return;
  }
  // Whether a cell's length comes from the row below, rather than from the next column.
  std::vector<char> skips_reference(rows * columns);
  std::vector<std::uint32_t> below(columns + 1), row(columns + 1);
  for (std::size_t i = rows; i-- > 0;) {
    for (std::size_t j = columns; j-- > 0;) {
      skips_reference[i * columns + j] = below[j] >= row[j + 1] ? 1 : 0;
      row[j] =
          text[j].word == reference[i].word ? below[j + 1] + 1 : std::max(below[j], row[j + 1]);
    }
    std::swap(below, row);
  }
  std::size_t i = 0, j = 0;
  while (i < rows && j < columns) {
    if (text[j].word == reference[i].word) {
      parts.add(Kind::same, text[j]);
      ++i, ++j;
    } else if (skips_reference[i * columns + j] != 0) {
      parts.add(Kind::missing, reference[i++]);
    } else {
      parts.add(Kind::added, text[j++]);
    }
  }
  parts.add(Kind::missing, reference.subspan(i));
  parts.add(Kind::added, text.subspan(j));
}

std::size_t common_prefix(std::span<const Word> a, std::span<const Word> b) {
  std::size_t length = 0;
  while (length < std::min(a.size(), b.size()) && a[length].word == b[length].word) ++length;
  return length;
}

std::size_t common_suffix(std::span<const Word> a, std::span<const Word> b) {
  std::size_t length = 0;
  while (length < std::min(a.size(), b.size()) &&
         a[a.size() - 1 - length].word == b[b.size() - 1 - length].word) {
    ++length;
  }
  return length;
}

/// The text without white space at its end, and that: marks end with words.
std::pair<std::string_view, std::string_view> without_end(std::string_view text) {
  std::size_t end = text.size();
  while (end > 0 && is_space(text[end - 1])) --end;
  return {text.substr(0, end), text.substr(end)};
}

}  // namespace

std::vector<DiffPart> word_diff(std::string_view text, std::string_view reference,
                                std::size_t most_cells) {
  const std::vector<Word> text_words = words_of(text), reference_words = words_of(reference);
  std::span<const Word> a(text_words), b(reference_words);
  const std::size_t prefix = common_prefix(a, b);
  const std::size_t suffix = common_suffix(a.subspan(prefix), b.subspan(prefix));
  Parts parts;
  parts.add(Kind::same, a.first(prefix));
  add_between(parts, a.subspan(prefix, a.size() - prefix - suffix),
              b.subspan(prefix, b.size() - prefix - suffix), most_cells);
  parts.add(Kind::same, a.last(suffix));
  return parts.take();
}

Html diff_html(std::string_view text, std::string_view reference) {
  Html marked;
  for (const DiffPart& part : word_diff(text, reference)) {
    const bool apart = marked.empty() || is_space(marked.code.back());
    if (!apart) marked += Html{" "};
    const auto [words, space] = without_end(part.text);
    switch (part.kind) {
      case Kind::same:
        marked += escaped(words);
        break;
      case Kind::added:
        marked += html("<ins>{}</ins>", words);
        break;
      case Kind::missing:
        marked += html("<del>{}</del>", words);
        break;
    }
    if (part.kind != Kind::missing) marked += escaped(space);
  }
  return marked;
}

}  // namespace gist
