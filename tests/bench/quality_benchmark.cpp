// Metrics on answers of 10 to 60 words. A reference shares about half of its completion's words.
#include <benchmark/benchmark.h>

#include <random>
#include <string>
#include <vector>

#include "core/quality/answer_match.h"
#include "core/quality/bootstrap.h"
#include "core/quality/copy_accuracy.h"
#include "core/quality/rouge.h"

namespace gist::bench {
namespace {

struct Pair {
  std::string completion, reference;
};

/// Words are drawn as in natural language, where the n-th most frequent is 1/n as frequent.
class Texts {
 public:
  Texts() {
    static constexpr const char* endings[] = {"", "s", "ing", "ed", "ation", "ly", "ness", "able"};
    for (int i = 1; i <= 5000; ++i) {
      std::string word;
      for (int letters = 2 + i % 5; letters > 0; --letters) {
        word += static_cast<char>('a' + draw(25));
      }
      words_.push_back(word + endings[draw(7)]);
      weights_.push_back(1.0 / i);
    }
  }

  Pair pair(int lines) {
    Pair result;
    const int words = 10 + draw(50);
    for (int i = 0; i < words; ++i) {
      const std::string end = i % (words / lines) == words / lines - 1 ? ".\n" : " ";
      const std::string word = random_word();
      result.completion += word + end;
      result.reference += (draw(1) == 0 ? word : random_word()) + end;
    }
    return result;
  }

 private:
  int draw(int last) { return std::uniform_int_distribution<>(0, last)(random_); }
  std::string random_word() {
    return words_[std::discrete_distribution<std::size_t>(weights_.begin(),
                                                          weights_.end())(random_)];
  }

  std::mt19937 random_;
  std::vector<std::string> words_;
  std::vector<double> weights_;
};

std::vector<Pair> pairs_of(int lines) {
  Texts texts;
  std::vector<Pair> pairs(1000);
  for (Pair& pair : pairs) pair = texts.pair(lines);
  return pairs;
}

void report(benchmark::State& state) {
  state.counters["pairs/s"] =
      benchmark::Counter(static_cast<double>(state.iterations()), benchmark::Counter::kIsRate);
}

void rouge(benchmark::State& state) {
  const std::vector<Pair> pairs = pairs_of(static_cast<int>(state.range(0)));
  RougeScorer scorer(state.range(1) != 0);
  std::size_t next = 0;
  for (auto _ : state) {
    const Pair& pair = pairs[next++ % pairs.size()];
    benchmark::DoNotOptimize(scorer.score(pair.completion, pair.reference));
  }
  report(state);
}
BENCHMARK(rouge)
    ->ArgNames({"lines", "stemmer"})
    ->ArgsProduct({{1, 5}, {0, 1}})
    ->Threads(1)
    ->Threads(2)
    ->UseRealTime();

void others(benchmark::State& state) {
  const std::vector<Pair> pairs = pairs_of(1);
  std::size_t next = 0;
  for (auto _ : state) {
    const Pair& pair = pairs[next++ % pairs.size()];
    benchmark::DoNotOptimize(token_f1(pair.completion, pair.reference));
    benchmark::DoNotOptimize(copy_counts(pair.completion, pair.reference));
    benchmark::DoNotOptimize(word_count(pair.completion));
  }
  report(state);
}
BENCHMARK(others)->Name("token_f1, copy_counts, word_count");

void bootstrap(benchmark::State& state) {
  const std::vector<double> values(static_cast<std::size_t>(state.range(0)), 0.5);
  for (auto _ : state) benchmark::DoNotOptimize(bootstrap_mean(values, {}));
}
BENCHMARK(bootstrap)->ArgName("records")->Arg(1000)->Arg(100'000)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace gist::bench
