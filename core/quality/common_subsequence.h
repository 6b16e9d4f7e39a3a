// Longest common subsequences of numbered words, 64 rows of the dynamic programme's table at a time
// (H. Hyyrö 2004, "Bit-parallel LCS-length computation revisited"). For texts of m and n words:
// m n / 64 steps.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace gist {

using WordNumbers = std::span<const std::uint32_t>;

/// Holds scratch memory, which stays as large as the largest texts needed: one for each thread.
class CommonSubsequence {
 public:
  /// Tables of up to `table_words` words of 64 bits are kept as a whole.
  explicit CommonSubsequence(std::size_t table_words = std::size_t{1} << 20)
      : table_words_(table_words) {}

  /// Words have numbers below `words` from now on.
  void set_vocabulary(std::size_t words);

  /// Its length. Memory is linear in the texts' lengths.
  std::size_t length(WordNumbers a, WordNumbers b);

  /// Sets marks[i], i < reference.size(), for the words of one longest common subsequence: the one
  /// that rouge_score's backtracking finds. From both ends on it takes equal words, else leaves the
  /// completion's word where only that keeps the length, else the reference's. Of a table that is
  /// too large to be kept, columns sqrt(n) or more apart are, from which the others are computed
  /// again: twice the steps, and at most twice the larger of the table's bound and m sqrt(n) / 8
  /// bytes (16 MiB for 100,000 words each, where the table would have 1200 MiB).
  void mark(WordNumbers reference, WordNumbers completion, std::span<char> marks);

 private:
  /// Columns of the table that are kept: for each, a bit a row, 0 where the length grows from the
  /// row before to this.
  struct Columns {
    std::uint64_t* first;
    std::size_t stride;
  };
  std::uint64_t advance(WordNumbers rows, WordNumbers columns, std::uint64_t level, Columns kept);
  void advance_all(WordNumbers rows, WordNumbers columns, const std::uint64_t* before,
                   std::uint64_t* after, bool keep);

  std::size_t table_words_;
  std::vector<std::uint64_t> masks_;   // [vocabulary] the rows of a block that hold a word
  std::vector<std::uint8_t> carries_;  // [columns] from one block of rows to the next
  std::vector<std::uint64_t> levels_;  // [segments, blocks] the column before each segment
  std::vector<std::uint64_t> table_;   // [columns of a segment, blocks]
};

}  // namespace gist
