// bf16 against the f32 goldens. Its error may be at most twice that of the same computation done
// plainly.
#include <gtest/gtest.h>

#include <cmath>

#include "core/answer_loss.h"
#include "kernels/error.h"
#include "tests/core/golden.h"
#include "tests/core/loaded_model.h"
#include "tests/core/passes.h"
#include "tests/core/plain_llama.h"

namespace gist {
namespace {

class Bf16 : public testing::TestWithParam<std::string> {};

TEST_P(Bf16, ErrorIsAtMostTwiceThatOfThePlainComputation) {
  LoadedModel loaded;
  try {
    loaded = load_model(GetParam(), {.threads = 0, .dtype = Dtype::bf16});
  } catch (const Error& error) {
    ASSERT_EQ(error.kind(), ErrorKind::unavailable);
    GTEST_SKIP() << error.what();
  }
  // CUDA's tensor cores compute attention, too.
  const Products products =
      loaded.backend->name() == "cuda" ? Products::bf16_with_attention : Products::bf16;
  const Weights weights = weights_of(GetParam());
  Scratch scratch(*loaded.backend);
  double squares = 0, plain_squares = 0, loss_error = 0;
  std::size_t count = 0;
  for (const Condition condition : {Condition::gist, Condition::pos, Condition::neg}) {
    for (int i = 0; i < golden_prompts; ++i) {
      const Golden golden = load_golden(GetParam(), condition, 1, i);
      const LabelledSequence row{golden.sequence, golden.labels, condition, nullptr, 0};
      const auto logits = label_logits(*loaded.model, {&row, 1}, scratch)[0];
      const auto plain =
          plain_logits(shape_of(GetParam()), weights, golden.sequence, condition, products);
      const auto first = static_cast<std::size_t>(golden.sequence.tokens() - golden.labels - 1) *
                         static_cast<std::size_t>(shape_of(GetParam()).vocabulary);
      const double error = relative_error(logits, golden.logits);
      const double plain_error =
          relative_error(std::span(plain).subspan(first, logits.size()), golden.logits);
      EXPECT_LE(error, 2 * plain_error) << name_of(condition) << ", prompt " << i;
      EXPECT_GT(error, 1e-5) << "this is f32";
      for (std::size_t j = 0; j < logits.size(); ++j) {
        squares += std::pow(logits[j] - golden.logits[j], 2);
        plain_squares += std::pow(plain[first + j] - golden.logits[j], 2);
      }
      count += logits.size();
      const AnswerLoss loss = answer_loss(*loaded.model, {&row, 1}, scratch)[0];
      loss_error = std::max(loss_error, std::abs(loss.sum / loss.labels - golden.loss));
    }
  }
  std::printf(
      "%s: root mean square error of the logits %.3g, plain %.3g; largest of the loss %.3g\n",
      GetParam().c_str(), std::sqrt(squares / static_cast<double>(count)),
      std::sqrt(plain_squares / static_cast<double>(count)), loss_error);
}

INSTANTIATE_TEST_SUITE_P(, Bf16, testing::Values("stories260K-gist", "wordtasks-llama-gist"),
                         [](const auto& suite) {
                           return suite.param[0] == 's' ? std::string("stories260K")
                                                        : std::string("wordtasks");
                         });

}  // namespace
}  // namespace gist
