// ROUGE (C.-Y. Lin 2004, "ROUGE: A Package for Automatic Evaluation of Summaries") with the results
// of Google's rouge_score 0.1.2, its split_summaries off.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "core/quality/common_subsequence.h"
#include "core/quality/rouge_words.h"

namespace gist {

/// Each from 0 to 1, and 0 where a text has nothing to match.
struct RougeScore {
  double precision = 0;  // of the completion's n-grams or words
  double recall = 0;     // of the reference's
  double f = 0;          // their harmonic mean
};

struct RougeScores {
  RougeScore rouge1;
  RougeScore rouge2;
  RougeScore rougeL;     // longest common subsequence of the texts, lines or not
  RougeScore rougeLsum;  // union of those of each line of the reference with the completion's lines
};

/// Scores pairs one after the other, in memory that it keeps: a scorer for each thread.
///
/// Texts are UTF-8; core/quality/rouge_words.h says what their words are. For m and n words,
/// lengths take m n / 64 steps and memory linear in both. Lsum's subsequences need tables only
/// where a text has several lines with words: core/quality/common_subsequence.h bounds them. Its
/// time, m n / 64 steps too for long lines, is at most lines of one text times words of the other.
class RougeScorer {
 public:
  explicit RougeScorer(bool use_stemmer) : words_(use_stemmer) {}

  RougeScores score(std::string_view completion, std::string_view reference);

 private:
  RougeScore unigrams();
  RougeScore bigrams();
  RougeScore subsequence();
  RougeScore summary_subsequence(const RougeScore& of_one_line);

  RougeWords words_;
  CommonSubsequence common_;
  NumberedText completion_, reference_;
  std::vector<std::uint32_t> completion_counts_, reference_counts_;    // [words]
  std::vector<std::uint64_t> completion_bigrams_, reference_bigrams_;  // sorted
  std::vector<char> marks_;  // words of a line in the union of its subsequences
};

}  // namespace gist
