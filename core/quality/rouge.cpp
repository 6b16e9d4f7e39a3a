#include "core/quality/rouge.h"

#include <algorithm>

namespace gist {
namespace {

/// `hits` of the completion's n-grams or words are the reference's, too.
RougeScore score_of(std::size_t hits, std::size_t completion, std::size_t reference) {
  const auto share = [hits](std::size_t all) {
    return static_cast<double>(hits) / static_cast<double>(std::max<std::size_t>(all, 1));
  };
  RougeScore score{share(completion), share(reference), 0};
  const double sum = score.precision + score.recall;
  if (sum > 0) score.f = 2 * score.precision * score.recall / sum;
  return score;
}

void count(WordNumbers words, std::size_t vocabulary, std::vector<std::uint32_t>& counts) {
  counts.assign(vocabulary, 0);
  for (const std::uint32_t word : words) ++counts[word];
}

void sort_bigrams(WordNumbers words, std::vector<std::uint64_t>& bigrams) {
  bigrams.clear();
  for (std::size_t i = 1; i < words.size(); ++i) {
    bigrams.push_back(std::uint64_t{words[i - 1]} << 32 | words[i]);
  }
  std::sort(bigrams.begin(), bigrams.end());
}

WordNumbers line_of(const NumberedText& text, std::size_t line) {
  const std::size_t begin = line == 0 ? 0 : text.line_ends[line - 1];
  return WordNumbers(text.words).subspan(begin, text.line_ends[line] - begin);
}

}  // namespace

RougeScores RougeScorer::score(std::string_view completion, std::string_view reference) {
  words_.clear();
  words_.read(completion, completion_);
  words_.read(reference, reference_);
  common_.set_vocabulary(words_.size());
  RougeScores scores;
  scores.rouge1 = unigrams();
  scores.rouge2 = bigrams();
  scores.rougeL = subsequence();
  scores.rougeLsum = summary_subsequence(scores.rougeL);
  return scores;
}

/// Leaves the words' counts for summary_subsequence.
RougeScore RougeScorer::unigrams() {
  count(completion_.words, words_.size(), completion_counts_);
  count(reference_.words, words_.size(), reference_counts_);
  std::size_t hits = 0;
  for (std::size_t word = 0; word < words_.size(); ++word) {
    hits += std::min(completion_counts_[word], reference_counts_[word]);
  }
  return score_of(hits, completion_.words.size(), reference_.words.size());
}

RougeScore RougeScorer::bigrams() {
  sort_bigrams(completion_.words, completion_bigrams_);
  sort_bigrams(reference_.words, reference_bigrams_);
  std::size_t hits = 0;
  auto a = completion_bigrams_.begin();
  auto b = reference_bigrams_.begin();
  while (a != completion_bigrams_.end() && b != reference_bigrams_.end()) {
    const std::uint64_t left = *a, right = *b;
    if (left == right) ++hits;
    if (left <= right) ++a;
    if (right <= left) ++b;
  }
  return score_of(hits, completion_bigrams_.size(), reference_bigrams_.size());
}

RougeScore RougeScorer::subsequence() {
  const std::size_t length = common_.length(completion_.words, reference_.words);
  return score_of(length, completion_.words.size(), reference_.words.size());
}

/// Section 3.2 of the paper. As in ROUGE 1.5.5, no word counts more often than either text has it.
RougeScore RougeScorer::summary_subsequence(const RougeScore& of_one_line) {
  const std::size_t lines = completion_.line_ends.size();
  if (lines <= 1 && reference_.line_ends.size() <= 1) return of_one_line;
  std::size_t hits = 0;
  for (std::size_t i = 0; i < reference_.line_ends.size(); ++i) {
    const WordNumbers line = line_of(reference_, i);
    marks_.assign(line.size(), 0);
    for (std::size_t j = 0; j < lines; ++j) common_.mark(line, line_of(completion_, j), marks_);
    for (std::size_t k = 0; k < line.size(); ++k) {
      if (marks_[k] == 0) continue;
      std::uint32_t& left = completion_counts_[line[k]];
      if (left == 0) continue;
      --left;
      ++hits;
    }
  }
  return score_of(hits, completion_.words.size(), reference_.words.size());
}

}  // namespace gist
