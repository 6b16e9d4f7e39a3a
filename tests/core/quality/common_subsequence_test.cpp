#include "core/quality/common_subsequence.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <random>
#include <vector>

namespace gist {
namespace {

using Numbers = std::vector<std::uint32_t>;
using Table = std::vector<std::vector<int>>;

Numbers random_numbers(std::size_t count, std::uint32_t vocabulary, std::mt19937& random) {
  std::uniform_int_distribution<std::uint32_t> word(0, vocabulary - 1);
  Numbers numbers(count);
  for (std::uint32_t& number : numbers) number = word(random);
  return numbers;
}

/// table[i][j]: the length for a's first i and b's first j words.
Table table_of(const Numbers& a, const Numbers& b) {
  Table table(a.size() + 1, std::vector<int>(b.size() + 1));
  for (std::size_t i = 1; i <= a.size(); ++i) {
    for (std::size_t j = 1; j <= b.size(); ++j) {
      table[i][j] = a[i - 1] == b[j - 1] ? table[i - 1][j - 1] + 1
                                         : std::max(table[i - 1][j], table[i][j - 1]);
    }
  }
  return table;
}

std::vector<char> backtracked(const Table& table, const Numbers& reference,
                              const Numbers& completion) {
  std::vector<char> marks(reference.size());
  for (std::size_t i = reference.size(), j = completion.size(); i > 0 && j > 0;) {
    if (reference[i - 1] == completion[j - 1]) {
      marks[--i] = 1;
      --j;
    } else if (table[i][j - 1] > table[i - 1][j]) {
      --j;
    } else {
      --i;
    }
  }
  return marks;
}

std::vector<char> marked(CommonSubsequence& common, const Numbers& reference,
                         const Numbers& completion) {
  std::vector<char> marks(reference.size());
  common.mark(reference, completion, marks);
  return marks;
}

TEST(CommonSubsequence, OfKnownTexts) {
  CommonSubsequence common;
  common.set_vocabulary(10);
  const Numbers a{1, 2, 3, 4, 5};
  const Numbers b{2, 9, 4, 3, 5};
  EXPECT_EQ(common.length(a, b), 3);  // 2 4 5 or 2 3 5
  // The completion's 3 is the first that is met from the end.
  EXPECT_EQ(marked(common, a, b), (std::vector<char>{0, 1, 1, 0, 1}));
  EXPECT_EQ(common.length(a, a), 5);
  EXPECT_EQ(common.length(a, {}), 0);
  EXPECT_EQ(common.length({}, {}), 0);
  EXPECT_EQ(common.length(a, Numbers{6, 7}), 0);
}

TEST(CommonSubsequence, IsThatOfTheWholeTable) {
  std::mt19937 random(1);
  CommonSubsequence whole;
  CommonSubsequence in_segments(0);
  whole.set_vocabulary(50);
  in_segments.set_vocabulary(50);
  for (const std::size_t m : {1, 2, 63, 64, 65, 127, 128, 129, 200}) {
    for (const std::size_t n : {1, 3, 64, 65, 150, 321}) {
      for (const std::uint32_t vocabulary : {1, 2, 4, 50}) {
        const Numbers reference = random_numbers(m, vocabulary, random);
        const Numbers completion = random_numbers(n, vocabulary, random);
        const Table table = table_of(reference, completion);
        ASSERT_EQ(whole.length(reference, completion), table[m][n]) << m << ' ' << n;
        ASSERT_EQ(whole.length(completion, reference), table[m][n]) << m << ' ' << n;
        const std::vector<char> marks = backtracked(table, reference, completion);
        ASSERT_EQ(marked(whole, reference, completion), marks) << m << ' ' << n;
        ASSERT_EQ(marked(in_segments, reference, completion), marks) << m << ' ' << n;
      }
    }
  }
}

TEST(CommonSubsequence, AddsMarksToThoseThatAreSet) {
  CommonSubsequence common;
  common.set_vocabulary(4);
  const Numbers reference{0, 1, 2, 3};
  std::vector<char> marks(4);
  common.mark(reference, Numbers{1}, marks);
  common.mark(reference, Numbers{3, 0}, marks);  // the tie goes to the completion's last
  EXPECT_EQ(marks, (std::vector<char>{1, 1, 0, 0}));
}

/// The most memory that the process has had, in MiB.
long peak_memory() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss >> 10;
}

TEST(CommonSubsequence, OfLongTextsNeedsNoTableOfAllPairs) {
  constexpr std::size_t words = 100'000;  // all pairs: 1200 MiB of bits
  std::mt19937 random(2);
  const Numbers a = random_numbers(words, 1000, random);
  Numbers b = a;
  std::rotate(b.begin(), b.begin() + 10'000, b.end());
  CommonSubsequence common;
  common.set_vocabulary(1000);
  const long before = peak_memory();
  const std::size_t length = common.length(a, b);
  EXPECT_GE(length, words - 10'000);
  const std::vector<char> marks = marked(common, a, b);
  EXPECT_EQ(static_cast<std::size_t>(std::count(marks.begin(), marks.end(), 1)), length);
  EXPECT_LT(peak_memory() - before, 100);
}

}  // namespace
}  // namespace gist
