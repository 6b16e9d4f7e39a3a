#include "core/quality/common_subsequence.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace gist {
namespace {

constexpr std::size_t block_rows = 64;
constexpr std::uint64_t level_ground = ~std::uint64_t{0};  // nothing in common yet

std::size_t blocks_of(WordNumbers rows) {
  return (rows.size() + block_rows - 1) / block_rows;
}

WordNumbers block_of(WordNumbers rows, std::size_t block) {
  const std::size_t begin = block * block_rows;
  return rows.subspan(begin, std::min(block_rows, rows.size() - begin));
}

}  // namespace

void CommonSubsequence::set_vocabulary(std::size_t words) {
  if (masks_.size() < words) masks_.resize(words);
}

/// Takes a block of at most 64 rows through the columns: the last one's bits from those before the
/// first. carries_ holds the blocks above's, then this one's.
std::uint64_t CommonSubsequence::advance(WordNumbers rows, WordNumbers columns, std::uint64_t level,
                                         Columns kept) {
  for (std::size_t i = 0; i < rows.size(); ++i) masks_[rows[i]] |= std::uint64_t{1} << i;
  for (std::size_t j = 0; j < columns.size(); ++j) {
    const std::uint64_t mask = masks_[columns[j]];
    const std::uint64_t sum = level + (level & mask);
    const std::uint64_t carried = sum + carries_[j];
    carries_[j] = sum < level || carried < sum ? 1 : 0;
    level = carried | (level & ~mask);
    if (kept.first != nullptr) kept.first[j * kept.stride] = level;
  }
  for (const std::uint32_t word : rows) masks_[word] = 0;
  return level;
}

/// All blocks, from the column `before` [blocks] to the column `after` [blocks]; `keep` puts those
/// between into table_.
void CommonSubsequence::advance_all(WordNumbers rows, WordNumbers columns,
                                    const std::uint64_t* before, std::uint64_t* after, bool keep) {
  const std::size_t blocks = blocks_of(rows);
  carries_.assign(columns.size(), 0);
  if (keep) table_.resize(std::max(table_.size(), columns.size() * blocks));
  for (std::size_t block = 0; block < blocks; ++block) {
    const Columns kept{keep ? table_.data() + block : nullptr, blocks};
    const std::uint64_t level = advance(block_of(rows, block), columns, before[block], kept);
    if (after != nullptr) after[block] = level;
  }
}

std::size_t CommonSubsequence::length(WordNumbers a, WordNumbers b) {
  const WordNumbers rows = a.size() > b.size() ? a : b;
  const WordNumbers columns = a.size() > b.size() ? b : a;
  carries_.assign(columns.size(), 0);
  int length = 0;
  for (std::size_t block = 0; block < blocks_of(rows); ++block) {
    length += std::popcount(~advance(block_of(rows, block), columns, level_ground, {nullptr, 0}));
  }
  return static_cast<std::size_t>(length);
}

void CommonSubsequence::mark(WordNumbers reference, WordNumbers completion, std::span<char> marks) {
  if (reference.empty() || completion.empty()) return;
  const std::size_t n = completion.size();
  const std::size_t blocks = blocks_of(reference);
  const auto root = static_cast<std::size_t>(std::sqrt(static_cast<double>(n)));
  const std::size_t segment = std::min(n, std::max(root + 1, table_words_ / blocks));
  const std::size_t segments = (n + segment - 1) / segment;
  const auto columns_of = [&](std::size_t s) {
    return completion.subspan(s * segment, std::min(segment, n - s * segment));
  };

  levels_.assign(segments * blocks, level_ground);
  for (std::size_t s = 0; s + 1 < segments; ++s) {
    std::uint64_t* level = levels_.data() + s * blocks;
    advance_all(reference, columns_of(s), level, level + blocks, false);
  }
  std::size_t i = reference.size();
  for (std::size_t s = segments; s-- > 0 && i > 0;) {
    const WordNumbers columns = columns_of(s);
    advance_all(reference, columns, levels_.data() + s * blocks, nullptr, true);
    for (std::size_t j = columns.size(); i > 0 && j > 0;) {
      const std::size_t row = i - 1;
      const std::uint64_t column = table_[(j - 1) * blocks + row / block_rows];
      if (reference[row] == columns[j - 1]) {
        marks[row] = 1;
        --i;
        --j;
      } else if ((column >> row % block_rows & 1) == 0) {
        --j;  // the word of the reference adds to the length, so this one of the completion doesn't
      } else {
        --i;
      }
    }
  }
}

}  // namespace gist
