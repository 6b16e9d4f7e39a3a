// These tests check against the model's own logits which tokens are drawn.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/random.h"
#include "tests/core/loaded_model.h"
#include "tests/core/passes.h"

namespace gist {
namespace {

constexpr std::size_t draws = 2000;

class GenerateSampling : public testing::Test {
 protected:
  LoadedModel loaded_ = random_model(small_shape());
  const Model& model_ = *loaded_.model;
  const std::vector<std::int32_t> prompt_ = random_ids(6, 50, 9);
  GenerationOptions options_;

  GenerateSampling() {
    options_.max_new_tokens = 1;
    options_.seed = 7;
    options_.sampling.temperature = 1;
  }

  /// Returns the probabilities by which the token after the prompt is drawn.
  std::vector<double> probabilities(double temperature) {
    Scratch scratch(*loaded_.backend);
    LabelledSequence row;
    row.sequence.ids = prompt_;
    row.sequence.ids.push_back(0);
    row.labels = 1;
    const auto logits = label_logits(model_, {&row, 1}, scratch)[0];
    std::vector<double> result;
    for (const float logit : logits) result.push_back(std::exp(logit / temperature));
    const double total = std::accumulate(result.begin(), result.end(), 0.0);
    for (double& p : result) p /= total;
    return result;
  }
  /// Ids in order of falling probability.
  std::vector<std::int32_t> ranking() {
    const auto p = probabilities(1);
    std::vector<std::int32_t> ids(p.size());
    std::iota(ids.begin(), ids.end(), 0);
    std::sort(ids.begin(), ids.end(), [&](std::int32_t a, std::int32_t b) {
      return p[static_cast<std::size_t>(a)] > p[static_cast<std::size_t>(b)];
    });
    return ids;
  }
  /// Returns how often each id follows the prompt.
  std::vector<double> counts() {
    std::vector<GenerationRequest> requests;
    for (std::size_t i = 0; i < draws; ++i) requests.push_back(request_for(prompt_, i));
    std::vector<double> result(50);
    for (const Completion& completion : complete(model_, options_, requests)) {
      ++result[static_cast<std::size_t>(completion.ids.at(0))];
    }
    return result;
  }
  /// Each count is within 4.5 standard deviations of what the probability says.
  static void expect_distribution(const std::vector<double>& counts, const std::vector<double>& p) {
    for (std::size_t i = 0; i < p.size(); ++i) {
      const double expected = draws * p[i];
      EXPECT_NEAR(counts[i], expected, 4.5 * std::sqrt(expected * (1 - p[i])) + 1) << "id " << i;
    }
  }
};

TEST_F(GenerateSampling, DrawsByProbabilityAtAnyTemperature) {
  for (const float temperature : {0.5F, 1.0F, 2.0F}) {
    options_.sampling.temperature = temperature;
    expect_distribution(counts(), probabilities(temperature));
  }
}

TEST_F(GenerateSampling, TopKDrawsFromTheLikeliestK) {
  options_.sampling.top_k = 3;
  const auto ids = ranking();
  std::vector<double> p = probabilities(1);
  double mass = 0;
  for (std::size_t rank = 0; rank < ids.size(); ++rank) {
    double& each = p[static_cast<std::size_t>(ids[rank])];
    if (rank < 3) {
      mass += each;
    } else {
      each = 0;
    }
  }
  for (double& each : p) each /= mass;
  const auto drawn = counts();
  expect_distribution(drawn, p);
  for (std::size_t i = 0; i < p.size(); ++i) {
    if (p[i] == 0) {
      EXPECT_EQ(drawn[i], 0);
    }
  }
}

TEST_F(GenerateSampling, TopPDrawsFromTheSmallestSetWithThatMass) {
  options_.sampling.top_p = 0.6F;
  const auto p = probabilities(1);
  double mass = 0;
  std::vector<double> kept(p.size());
  for (const std::int32_t id : ranking()) {
    if (mass < 0.6) kept[static_cast<std::size_t>(id)] = p[static_cast<std::size_t>(id)];
    mass += p[static_cast<std::size_t>(id)];
  }
  const double total = std::accumulate(kept.begin(), kept.end(), 0.0);
  for (double& each : kept) each /= total;
  const auto drawn = counts();
  expect_distribution(drawn, kept);
  for (std::size_t i = 0; i < kept.size(); ++i) {
    if (kept[i] == 0) {
      EXPECT_EQ(drawn[i], 0);
    }
  }
}

TEST_F(GenerateSampling, TheBannedIdIsNeverDrawn) {
  options_.sampling.banned = ranking()[0];
  EXPECT_EQ(counts()[static_cast<std::size_t>(options_.sampling.banned)], 0);
  options_.sampling.temperature = 0;
  EXPECT_EQ(complete(model_, options_, {request_for(prompt_)})[0].ids[0], ranking()[1]);
}

TEST_F(GenerateSampling, EachTokenIsDrawnByItsSeedOrdinalAndStep) {
  // Where one id is likelier than the draw or not, the draw is known: top-k 2 leaves two.
  options_.sampling.top_k = 2;
  const auto ids = ranking();
  const auto p = probabilities(1);
  const double first = p[static_cast<std::size_t>(ids[0])];
  const double share = first / (first + p[static_cast<std::size_t>(ids[1])]);
  for (std::uint64_t ordinal = 0; ordinal < 50; ++ordinal) {
    const float draw = uniform_draw(7, ordinal, 0);
    const auto id = complete(model_, options_, {request_for(prompt_, ordinal)})[0].ids[0];
    EXPECT_EQ(id, draw < share ? ids[0] : ids[1]) << ordinal;
  }
}

}  // namespace
}  // namespace gist
