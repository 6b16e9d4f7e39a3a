#include "core/fidelity.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "kernels/error.h"
#include "tests/core/golden.h"
#include "tests/core/loaded_model.h"
#include "tests/core/passes.h"

namespace gist {
namespace {

constexpr double fidelity_tolerance = 1e-5;

/// The definition, label by label: softmaxes without the gist token, KL in its plain form.
Fidelity plain_fidelity(std::span<const float> reference, std::span<const float> gist,
                        std::size_t vocabulary, std::size_t gist_token) {
  const auto softmax = [&](std::span<const float> row) {
    std::vector<double> result(vocabulary);
    double sum = 0;
    for (std::size_t i = 0; i < vocabulary; ++i) {
      if (i != gist_token) sum += result[i] = std::exp(double{row[i]});
    }
    for (double& each : result) each /= sum;
    return result;
  };
  Fidelity result;
  for (std::size_t at = 0; at < reference.size(); at += vocabulary) {
    const std::vector<double> p = softmax(reference.subspan(at, vocabulary));
    const std::vector<double> q = softmax(gist.subspan(at, vocabulary));
    for (std::size_t i = 0; i < vocabulary; ++i) {
      if (p[i] > 0) result.divergence += p[i] * std::log(p[i] / q[i]);
    }
    ++result.labels;
    const auto choice = [](const std::vector<double>& x) {
      return std::max_element(x.begin(), x.end()) - x.begin();
    };
    if (choice(p) == choice(q)) ++result.agreements;
  }
  return result;
}

void expect_equal(const Fidelity& found, const Fidelity& expected) {
  EXPECT_NEAR(found.divergence, expected.divergence,
              fidelity_tolerance * (1 + expected.divergence));
  EXPECT_EQ(found.labels, expected.labels);
  EXPECT_EQ(found.agreements, expected.agreements);
}

class FidelityOf : public testing::TestWithParam<std::string> {
 protected:
  std::int32_t gist_token() const { return gist_token_of(GetParam()); }
  std::size_t vocabulary() const { return static_cast<std::size_t>(model_.spec().vocabulary); }

  /// Answers of many lengths under a condition: the goldens', and others of random tokens.
  std::vector<LabelledSequence> answers(Condition condition) const {
    std::vector<LabelledSequence> result;
    for (int i = 0; i < golden_prompts; ++i) {
      const Golden golden = load_golden(GetParam(), condition, 1, i);
      result.push_back({golden.sequence, golden.labels, condition, nullptr, 0});
    }
    for (const std::int32_t labels : {1, 2, 17}) {
      const auto seed = static_cast<std::uint32_t>(labels);
      Sequence sequence{random_ids(static_cast<std::size_t>(30 + labels), gist_token(), seed),
                        {{12, 15}}};
      std::fill_n(sequence.ids.begin() + 12, 3, gist_token());
      result.push_back({sequence, labels, condition, nullptr, 0});
    }
    return result;
  }

  std::vector<Fidelity> of(std::span<const LabelledSequence> reference,
                           std::span<const LabelledSequence> gist) {
    return fidelity({model_, reference, scratch_}, {model_, gist, other_scratch_}, {gist_token()});
  }

  LoadedModel loaded_ = load_model(GetParam());
  const Model& model_ = *loaded_.model;
  Scratch scratch_{*loaded_.backend}, other_scratch_{*loaded_.backend};
};

TEST_P(FidelityOf, IsTheDivergenceOfTheWholeLogits) {
  const auto full = answers(Condition::pos), gist = answers(Condition::gist);
  const auto p = label_logits(model_, full, scratch_);
  const auto q = label_logits(model_, gist, scratch_);
  const std::vector<Fidelity> found = of(full, gist);
  ASSERT_EQ(found.size(), full.size());
  for (std::size_t i = 0; i < full.size(); ++i) {
    SCOPED_TRACE(i);
    const auto token = static_cast<std::size_t>(gist_token());
    expect_equal(found[i], plain_fidelity(p[i], q[i], vocabulary(), token));
    EXPECT_EQ(found[i].labels, full[i].labels);
    EXPECT_GT(found[i].divergence, 0);
  }
}

TEST_P(FidelityOf, IsThatOfTheReferenceImplementationsLogits) {
  const std::vector<Fidelity> found = of(answers(Condition::pos), answers(Condition::gist));
  for (int i = 0; i < golden_prompts; ++i) {
    SCOPED_TRACE(i);
    const Golden full = load_golden(GetParam(), Condition::pos, 1, i);
    const Golden gist = load_golden(GetParam(), Condition::gist, 1, i);
    const Fidelity expected = plain_fidelity(full.logits, gist.logits, vocabulary(),
                                             static_cast<std::size_t>(gist_token()));
    expect_equal(found[static_cast<std::size_t>(i)], expected);
  }
}

TEST_P(FidelityOf, AModelAgainstItselfIsPerfect) {
  for (const Condition condition : {Condition::pos, Condition::gist}) {
    const auto rows = answers(condition);
    for (const Fidelity& found : of(rows, rows)) {
      EXPECT_EQ(found.divergence, 0);
      EXPECT_EQ(found.agreements, found.labels);
    }
  }
}

TEST_P(FidelityOf, BehindAStoredGistIsThatUnderTheMask) {
  const auto full = answers(Condition::pos), masked = answers(Condition::gist);
  std::vector<GistActivations> gists;
  for (const LabelledSequence& row : masked) {
    gists.push_back(compress_one(model_, row.sequence, scratch_));
  }
  std::vector<LabelledSequence> stored;
  for (std::size_t i = 0; i < masked.size(); ++i) {
    const Sequence& whole = masked[i].sequence;
    stored.push_back(
        {tail_of(whole), masked[i].labels, Condition::pos, &gists[i], whole.gists[0].begin});
  }
  const auto expected = of(full, masked), found = of(full, stored);
  for (std::size_t i = 0; i < full.size(); ++i) expect_equal(found[i], expected[i]);
}

TEST_P(FidelityOf, ABatchIsItsRecordsOneByOne) {
  const auto one_full = answers(Condition::pos), one_gist = answers(Condition::gist);
  std::vector<LabelledSequence> full, gist;
  for (int i = 0; i < 40; ++i) {
    full.insert(full.end(), one_full.begin(), one_full.end());
    gist.insert(gist.end(), one_gist.begin(), one_gist.end());
  }
  const std::vector<Fidelity> together = of(full, gist);
  std::vector<Fidelity> one_by_one;
  for (std::size_t i = 0; i < one_full.size(); ++i) {
    one_by_one.push_back(of({&one_full[i], 1}, {&one_gist[i], 1})[0]);
  }
  std::int32_t labels = 0;
  for (std::size_t i = 0; i < together.size(); ++i) {
    SCOPED_TRACE(i);
    expect_equal(together[i], one_by_one[i % one_full.size()]);
    labels += together[i].labels;
  }
  EXPECT_GT(labels, 1024);  // more than one chunk of logits has rows
}

TEST_P(FidelityOf, NothingIsNothing) {
  EXPECT_TRUE(of({}, {}).empty());
}

TEST_P(FidelityOf, OtherAnswersAreRefused) {
  auto full = answers(Condition::pos), gist = answers(Condition::gist);
  gist[1].sequence.ids.back() ^= 1;
  EXPECT_THROW(of(full, gist), Error);
}

INSTANTIATE_TEST_SUITE_P(, FidelityOf,
                         testing::Values("stories260K-gist", "wordtasks-llama-gist",
                                         "wordtasks-t5-gist"),
                         [](const auto& suite) {
                           std::string set = suite.param;
                           std::erase(set, '-');
                           return set;
                         });

/// A random model whose vocabulary has the first `rows` of 52 tokens.
LoadedModel model_with(int rows, float first_weight = 0.25F) {
  LoadedModel loaded;
  loaded.shape = small_shape();
  loaded.shape.vocabulary = 52;
  Weights weights = random_weights(LlamaFamily(loaded.shape).spec(), 1);
  loaded.shape.vocabulary = rows;
  auto family = std::make_unique<LlamaFamily>(loaded.shape);
  const auto width = static_cast<std::size_t>(loaded.shape.d_model);
  for (auto& [name, values] : weights) {
    if (values.size() == 52 * width) values.resize(static_cast<std::size_t>(rows) * width);
    if (name == "model.layers.0.mlp.down_proj.weight") values[0] = first_weight;
  }
  loaded.backend = make_cpu_backend();
  const WeightSource source = source_of(family->spec(), weights);
  loaded.model = std::make_unique<Model>(std::move(family), *loaded.backend, source);
  return loaded;
}

Fidelity of_two(const LoadedModel& reference, const LoadedModel& gist, std::int32_t gist_token,
                std::int32_t count = 1) {
  LabelledSequence row;
  row.sequence.ids = random_ids(20, 50, 5);
  row.labels = 9;
  Scratch reference_scratch(*reference.backend), gist_scratch(*gist.backend);
  return fidelity({*reference.model, {&row, 1}, reference_scratch},
                  {*gist.model, {&row, 1}, gist_scratch}, {gist_token, count})[0];
}

TEST(FidelityOfTwoModels, TheGistTokensRowDoesNotCount) {
  const LoadedModel base = model_with(50), trained = model_with(51);
  EXPECT_LE(of_two(base, trained, 50).divergence, 1e-6);
  EXPECT_LE(of_two(trained, base, 50).divergence, 1e-6);
  // Nor where both have it.
  const LoadedModel other = model_with(51, 2);
  const LoadedModel other_base = model_with(50, 2);
  EXPECT_NEAR(of_two(trained, other, 50).divergence, of_two(base, other_base, 50).divergence, 1e-5);
  EXPECT_GT(of_two(trained, other, 50).divergence, 1e-3);
}

TEST(FidelityOfTwoModels, RowsOfDistinctGistTokensDoNotCount) {
  const LoadedModel base = model_with(50), one = model_with(51), three = model_with(53);
  EXPECT_LE(of_two(base, three, 50, 3).divergence, 1e-6);
  EXPECT_LE(of_two(one, three, 50, 3).divergence, 1e-6);
  const LoadedModel other = model_with(53, 2), other_base = model_with(50, 2);
  EXPECT_NEAR(of_two(three, other, 50, 3).divergence, of_two(base, other_base, 50).divergence,
              1e-5);
  EXPECT_THROW(of_two(base, three, 50, 2), Error);
}

TEST(FidelityOfTwoModels, OtherVocabulariesAreRefusedWithTheirSizes) {
  const LoadedModel base = model_with(50), trained = model_with(51), larger = model_with(52);
  for (const auto& [reference, gist, gist_token] :
       {std::tuple{&base, &larger, 51}, std::tuple{&base, &larger, 50},
        std::tuple{&base, &trained, -1}, std::tuple{&base, &trained, 49}}) {
    try {
      of_two(*reference, *gist, gist_token);
      ADD_FAILURE() << gist_token;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::data);
      EXPECT_NE(std::string(error.what()).find("50 tokens"), std::string::npos) << error.what();
    }
  }
}

TEST(FidelityOfTwoModels, LogitsThatAreNoNumbersHaveNone) {
  const LoadedModel sound = model_with(51);
  const LoadedModel broken = model_with(51, std::numeric_limits<float>::max());
  EXPECT_TRUE(std::isnan(of_two(sound, broken, 50).divergence));
  EXPECT_TRUE(std::isnan(of_two(broken, sound, 50).divergence));
}

}  // namespace
}  // namespace gist
