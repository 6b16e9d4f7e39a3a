// The metrics on texts, for check_quality.py. Reads lines from standard input, writes one for each.
// usage: quality_scores stems                          a word -> its stem
//        quality_scores rouge|rouge-stemmer            [completion, reference] -> 12 numbers
//        quality_scores token-f1                       [completion, reference] -> a number
//        quality_scores normalized                     a string -> a string
//        quality_scores bootstrap RESAMPLES SEED       [values] -> [low, mid, high]
#include <cstdio>
#include <functional>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/quality/answer_match.h"
#include "core/quality/bootstrap.h"
#include "core/quality/porter_stemmer.h"
#include "core/quality/rouge.h"

namespace {

using nlohmann::json;

json numbers_of(const gist::RougeScores& scores) {
  json numbers;
  for (const gist::RougeScore& s :
       {scores.rouge1, scores.rouge2, scores.rougeL, scores.rougeLsum}) {
    for (const double number : {s.precision, s.recall, s.f}) numbers.push_back(number);
  }
  return numbers;
}

std::string text_of(const json& value, std::size_t i) {
  return value.at(i).get<std::string>();
}

json rouge(gist::RougeScorer& scorer, const json& pair) {
  return numbers_of(scorer.score(text_of(pair, 0), text_of(pair, 1)));
}

json bootstrap(const json& values, const gist::BootstrapOptions& options) {
  const gist::ConfidenceInterval interval =
      gist::bootstrap_mean(values.get<std::vector<double>>(), options);
  return {interval.low, interval.mid, interval.high};
}

void answer_lines(const std::function<json(const json&)>& answer) {
  for (std::string line; std::getline(std::cin, line);) {
    std::cout << answer(json::parse(line)).dump() << '\n';
  }
}

void stem_lines() {
  for (std::string word; std::getline(std::cin, word);) {
    word.resize(gist::porter_stem(word));
    std::cout << word << '\n';
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::string metric = argc > 1 ? argv[1] : "";
  try {
    if (metric == "stems") {
      stem_lines();
    } else if (metric == "rouge" || metric == "rouge-stemmer") {
      gist::RougeScorer scorer(metric == "rouge-stemmer");
      answer_lines([&scorer](const json& pair) { return rouge(scorer, pair); });
    } else if (metric == "token-f1") {
      answer_lines(
          [](const json& pair) { return gist::token_f1(text_of(pair, 0), text_of(pair, 1)); });
    } else if (metric == "normalized") {
      answer_lines(
          [](const json& text) { return gist::normalized_answer(text.get<std::string>()); });
    } else if (metric == "bootstrap" && argc == 4) {
      gist::BootstrapOptions options;
      options.resamples = static_cast<std::uint32_t>(std::stoul(argv[2]));
      options.seed = std::stoull(argv[3]);
      answer_lines([&options](const json& values) { return bootstrap(values, options); });
    } else {
      std::fputs("usage: see quality_scores.cpp\n", stderr);
      return 64;
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "quality_scores: %s\n", error.what());
    return 70;
  }
}
