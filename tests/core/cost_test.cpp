#include "core/cost.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>

#include "core/forward.h"
#include "kernels/error.h"
#include "kernels/meta/meta_backend.h"
#include "tests/core/loaded_model.h"

namespace gist {
namespace {

using testing::HasSubstr;

/// A fixture's model without its weights.
class Shapes {
 public:
  explicit Shapes(const std::string& name)
      : model_(plugin_family(name), *backend_,
               shapes_only(plugin_family(name)->spec(), Dtype::f32)) {}

  const Model& model() const { return model_; }
  const ModelSpec& spec() const { return model_.spec(); }
  CountingBackend& backend() { return *backend_; }

  AnswerFlops answers(std::span<const RowLengths> rows, Caching caching,
                      LogitRows logit_rows = LogitRows::last) {
    return count_answers(model_, *backend_, rows, caching, logit_rows);
  }
  AnswerFlops answer(const RowLengths& row, Caching caching) {
    return answers({&row, 1}, caching, LogitRows::last);
  }
  FlopsByOp compression(std::span<const RowLengths> rows, Caching caching) {
    return count_compression(model_, *backend_, rows, caching);
  }

 private:
  std::unique_ptr<CountingBackend> backend_ = make_meta_backend();
  Model model_;
};

/// The lengths of the paper's benchmark.
std::vector<RowLengths> paper_rows(const std::string& model) {
  std::ifstream file(std::filesystem::path(GIST_FIXTURES) / "paper" /
                     ("human_lengths_" + model + ".csv"));
  std::string line;
  std::getline(file, line);
  EXPECT_EQ(line, "id,tokens_whole_sequence,tokens_after_gist,gist_position");
  std::vector<RowLengths> rows;
  int id = 0, whole = 0, after = 0, position = 0;
  while (std::getline(file, line) &&
         std::sscanf(line.c_str(), "%d,%d,%d,%d", &id, &whole, &after, &position) == 4) {
    rows.push_back({position, whole - after - position, after, 1});
  }
  return rows;
}

/// The publication's figures are PyTorch's profiler's: two FLOPs a multiplication and addition of
/// matrix products, without a mask, and one an element of element-wise additions and
/// multiplications. These count normalisation, rotation and activation instead, which is a little
/// more: 914.75 and 552.53, 715.79 and 426.80. Products alone give 0.016 % less than published.
/// That a gist's readers score gist and input, not the whole sequence, is a difference of 0.09 %.
constexpr double cost_tolerance = 2e-4;

/// Returns the mean GFLOPs of one forward pass, in the paper's convention.
double mean_gflops(Shapes& shapes, std::span<const RowLengths> rows, Caching caching) {
  const AnswerFlops flops = shapes.answers(rows, caching, LogitRows::every);
  return static_cast<double>(total(flops.reading).dense) / static_cast<double>(rows.size()) / 1e9;
}

TEST(PublishedCost, OneForwardPassOfLlama7B) {
  Shapes shapes("llama-7b");
  const std::vector<RowLengths> rows = paper_rows("llama-7b");
  ASSERT_EQ(rows.size(), 252U);
  EXPECT_NEAR(mean_gflops(shapes, rows, Caching::none), 914.7, cost_tolerance * 914.7);
  EXPECT_NEAR(mean_gflops(shapes, rows, Caching::gist), 552.5, cost_tolerance * 552.5);
}

TEST(PublishedCost, EncoderAndOneDecoderStepOfFlanT5Xxl) {
  Shapes shapes("flan-t5-xxl");
  const std::vector<RowLengths> rows = paper_rows("flan-t5-xxl");
  ASSERT_EQ(rows.size(), 252U);
  EXPECT_NEAR(mean_gflops(shapes, rows, Caching::none), 715.8, cost_tolerance * 715.8);
  EXPECT_NEAR(mean_gflops(shapes, rows, Caching::gist), 426.8, cost_tolerance * 426.8);
}

/// Single prompts of that benchmark, from the authors' repository (jayelm/gisting,
/// data/benchmarking): FLOPs by the PyTorch profiler, without cache, with the instruction and with
/// the gist cached; 0: not measured.
struct PublishedRow {
  const char* model;
  RowLengths lengths;
  double none, instruction, gist;
};

class PublishedRowCost : public testing::TestWithParam<PublishedRow> {};

TEST_P(PublishedRowCost, IsCountedForEachWayOfCaching) {
  const PublishedRow& row = GetParam();
  Shapes shapes(row.model);
  const auto expect = [&](Caching caching, double published, double within) {
    if (published == 0) return;
    EXPECT_NEAR(mean_gflops(shapes, {&row.lengths, 1}, caching), published / 1e9,
                within * published / 1e9)
        << name_of(caching);
  };
  expect(Caching::none, row.none, cost_tolerance);
  expect(Caching::gist, row.gist, cost_tolerance);
  // The authors cached rotated keys; here they are rotated where they are placed.
  expect(Caching::instruction, row.instruction, 5e-4);
}

INSTANTIATE_TEST_SUITE_P(
    Benchmark, PublishedRowCost,
    testing::Values(
        PublishedRow{"llama-7b", {23, 1, 34, 1}, 768285567292, 450374408236, 449963612688},
        PublishedRow{"llama-7b", {27, 1, 2, 1}, 396947951300, 26463445244, 26435078288},
        PublishedRow{"llama-7b", {18, 1, 441, 1}, 6190438546360, 5934746530442, 5930576587910},
        PublishedRow{"flan-t5-xxl", {23, 1, 27, 1}, 566742242385, 0, 306648110641},
        PublishedRow{"flan-t5-xxl", {25, 1, 1, 1}, 305026486545, 0, 23623754195},
        PublishedRow{"flan-t5-xxl", {18, 1, 365, 1}, 4244802468750, 0, 4034351261527}));

class Cost : public testing::TestWithParam<std::string> {
 protected:
  Shapes shapes_{GetParam()};

  bool encoder_decoder() const { return shapes_.spec().encoder_decoder(); }
  std::vector<Caching> ways() const {
    std::vector<Caching> ways{Caching::none, Caching::gist};
    if (!encoder_decoder()) ways.push_back(Caching::instruction);
    return ways;
  }
};

TEST_P(Cost, OfRowsTogetherIsThatOfEachAlone) {
  const std::vector<RowLengths> rows{{12, 1, 7, 5}, {3, 2, 20, 1}, {30, 1, 1, 9}, {1, 5, 4, 2}};
  for (const Caching caching : ways()) {
    for (const LogitRows logit_rows : {LogitRows::last, LogitRows::every}) {
      const AnswerFlops together = shapes_.answers(rows, caching, logit_rows);
      Flops reading, decoding;
      for (const RowLengths& row : rows) {
        const AnswerFlops one = shapes_.answers({&row, 1}, caching, logit_rows);
        const Flops read = total(one.reading), decoded = total(one.decoding);
        reading = {reading.visible + read.visible, reading.dense + read.dense};
        decoding = {decoding.visible + decoded.visible, decoding.dense + decoded.dense};
      }
      EXPECT_EQ(total(together.reading), reading) << name_of(caching);
      EXPECT_EQ(total(together.decoding), decoding) << name_of(caching);
      EXPECT_EQ(together.decode_steps, 4 + 0 + 8 + 1);
    }
  }
}

TEST_P(Cost, OfAStepIsOneTokensAndTheKeysThatItSees) {
  const AnswerFlops first = shapes_.answer({0, 1, 0, 1}, Caching::none);
  for (const Caching caching : ways()) {
    const AnswerFlops row = shapes_.answer({10, 2, 6, 3}, caching);
    EXPECT_EQ(row.decode_steps, 2);
    // Keys of the tokens read, or kept, and of those generated; an encoder-decoder's decoder has
    // its own, from the start token on, and sees the encoder's tokens beside them.
    const int seen = caching == Caching::gist ? 2 + 6 : 10 + 2 + 6;
    const int keys = encoder_decoder() ? (2 + seen) + (3 + seen) : (seen + 1) + (seen + 2);
    const Flops attention = row.decoding.at("attention");
    EXPECT_EQ(attention.visible, attention.dense);
    if (!encoder_decoder()) {
      EXPECT_EQ(attention.visible, keys * first.reading.at("attention").visible);
      EXPECT_EQ(row.decoding.at("gemm").visible, 2 * first.reading.at("gemm").visible);
    } else {
      // 3 layers of 4 heads, 32 wide; the bias is added to the scores of self-attention.
      EXPECT_EQ(attention.visible, 3 * 4 * (4 * 32 * keys + 2 + 3));
    }
  }
}

TEST_P(Cost, OfEveryLogitIsTheHeadForEachTokenOfADecoder) {
  const std::vector<RowLengths> rows{{10, 2, 6, 1}, {4, 1, 3, 1}};
  for (const Caching caching : ways()) {
    const Flops last = total(shapes_.answers(rows, caching, LogitRows::last).reading);
    const Flops every = total(shapes_.answers(rows, caching, LogitRows::every).reading);
    const std::int64_t further = caching == Caching::none ? 17 + 7 : 5 + 2;
    const std::int64_t head = 2 * std::int64_t{shapes_.spec().vocabulary} * shapes_.spec().d_model;
    EXPECT_EQ(every.visible - last.visible, encoder_decoder() ? 0 : further * head);
  }
}

TEST_P(Cost, OfReadingBehindAGistIsDenseOverGistAndInput) {
  const RowLengths row{40, 3, 5, 1};
  const Flops attention = shapes_.answer(row, Caching::gist).reading.at("attention");
  const Flops whole = shapes_.answer(row, Caching::none).reading.at("attention");
  if (encoder_decoder()) {  // the encoder sees all; then one decoder token itself and these
    const auto of = [](int queries, int keys) {
      return 3 * 4 * ((4 * 32 + 1) * (queries * keys + 1) + 4 * 32 * keys);
    };
    EXPECT_EQ(attention.dense, of(5, 8));
    EXPECT_EQ(whole.dense, of(48, 48));
    EXPECT_EQ(attention.visible, attention.dense);
  } else {
    const std::int64_t pair =
        shapes_.answer({0, 1, 0, 1}, Caching::none).reading.at("attention").visible;
    EXPECT_EQ(attention.dense, pair * 5 * 8);
    EXPECT_EQ(attention.visible, pair * (4 + 5 + 6 + 7 + 8));
    EXPECT_EQ(whole.dense, pair * 48 * 48);
    EXPECT_EQ(whole.visible, pair * 48 * 49 / 2);
  }
}

TEST_P(Cost, OfCompressionIsThatOfAPassOverPromptAndGist) {
  const std::vector<RowLengths> rows{{20, 2, 9, 4}, {7, 1, 3, 2}};
  Flops expected;
  for (const RowLengths& row : rows) {
    Batch batch;
    const Sequence prompt{
        std::vector<std::int32_t>(static_cast<std::size_t>(row.prompt + row.gist)),
        {{row.prompt, row.prompt + row.gist}}};
    add_sequence(batch, prompt, Condition::gist, shapes_.spec().stacks[0].kind);
    Scratch scratch(shapes_.backend());
    Pass pass(shapes_.model(), batch, {}, scratch);
    shapes_.backend().reset_costs();
    forward(pass);
    expected.visible += shapes_.backend().total_flops();
  }
  const FlopsByOp flops = shapes_.compression(rows, Caching::gist);
  EXPECT_EQ(total(flops).visible, expected.visible);
  EXPECT_TRUE(shapes_.compression(rows, Caching::none).empty());
}

TEST_P(Cost, NamesWhatCantBe) {
  const auto error = [&](const RowLengths& row,
                         Caching caching) -> std::pair<ErrorKind, std::string> {
    try {
      shapes_.answer(row, caching);
      return {ErrorKind::busy, ""};
    } catch (const Error& thrown) {
      return {thrown.kind(), thrown.what()};
    }
  };
  EXPECT_EQ(error({3, 0, 3, 1}, Caching::gist).first, ErrorKind::internal);
  EXPECT_EQ(error({3, 1, 3, 0}, Caching::none).first, ErrorKind::internal);
  if (encoder_decoder()) {
    EXPECT_FALSE(can_cache(shapes_.spec(), Caching::instruction));
    const auto [kind, message] = error({3, 1, 3, 1}, Caching::instruction);
    EXPECT_EQ(kind, ErrorKind::usage);
    EXPECT_THAT(message, HasSubstr("only gists can be cached"));
  } else {
    EXPECT_EQ(error({200, 1, 50, 5}, Caching::gist).second, "");
    const auto [kind, message] = error({200, 1, 50, 6}, Caching::gist);
    EXPECT_EQ(kind, ErrorKind::data);
    EXPECT_THAT(message, HasSubstr("record 1: it takes 257 tokens, but the model has 256"));
  }
}

INSTANTIATE_TEST_SUITE_P(Models, Cost, testing::Values("wordtasks-llama-gist", "wordtasks-t5-gist"),
                         [](const auto& model) {
                           return std::string(model.param == "wordtasks-t5-gist" ? "t5" : "llama");
                         });

TEST(InstructionCost, ReadsThePromptOnceAndDecodesAsWithoutACache) {
  Shapes shapes("wordtasks-llama-gist");
  const std::vector<RowLengths> rows{{20, 2, 9, 4}, {7, 1, 3, 2}};
  const AnswerFlops none = shapes.answers(rows, Caching::none);
  const AnswerFlops instruction = shapes.answers(rows, Caching::instruction);
  const FlopsByOp once = shapes.compression(rows, Caching::instruction);
  EXPECT_EQ(instruction.decoding, none.decoding);
  EXPECT_EQ(once.at("attention").visible + instruction.reading.at("attention").visible,
            none.reading.at("attention").visible);
  EXPECT_EQ(once.at("gemm").visible + instruction.reading.at("gemm").visible,
            none.reading.at("gemm").visible);
}

TEST(InstructionCost, OfARowWithoutInputIsTheHeadAlone) {
  Shapes shapes("wordtasks-llama-gist");
  const Flops flops = total(shapes.answer({20, 1, 0, 1}, Caching::instruction).reading);
  const std::int64_t head = 2 * 901 * 128;
  // This also counts the rotation of the stored keys.
  EXPECT_GE(flops.visible, head);
  EXPECT_LT(flops.visible, 2 * head);
}

TEST(StorageCost, OfLlama7BsGistsIsOneTokenForTwentySix) {
  const std::vector<RowLengths> rows = paper_rows("llama-7b");
  const ModelSpec spec = plugin_family("llama-7b")->spec();
  constexpr std::size_t token = (32 * 2 + 1) * 4096 * 2;
  EXPECT_EQ(stored_token_bytes(spec, Dtype::f16), token);
  EXPECT_EQ(stored_token_bytes(spec, Dtype::bf16), token);
  EXPECT_EQ(stored_token_bytes(spec, Dtype::f32), 2 * token);
  const StorageCost gist = storage_cost(spec, rows, Caching::gist, Dtype::f16);
  EXPECT_EQ(gist.prompt_bytes, token);
  EXPECT_NEAR(*gist.prompts_per_gib, 2016.5, 0.1);
  EXPECT_NEAR(*gist.compression_factor, 26.27, 0.01);
  const StorageCost whole = storage_cost(spec, rows, Caching::instruction, Dtype::f16);
  EXPECT_NEAR(whole.prompt_bytes, 27.27 * token, 0.01 * token);
  EXPECT_EQ(whole.compression_factor, std::nullopt);
  const StorageCost none = storage_cost(spec, rows, Caching::none, Dtype::f16);
  EXPECT_EQ(none.prompt_bytes, 0);
  EXPECT_EQ(none.prompts_per_gib, std::nullopt);
}

TEST(StorageCost, OfAnEncoderDecoderIsItsEncoders) {
  const ModelSpec spec = plugin_family("wordtasks-t5-gist")->spec();
  EXPECT_EQ(stored_token_bytes(spec, Dtype::f32), (3U * 2 * 128 + 128) * 4);
}

TEST(UsesUntilPaid, AreTheFewestThatCostNoMoreThanWithout) {
  EXPECT_EQ(uses_until_paid(10, 3, 1), 5);
  EXPECT_EQ(uses_until_paid(11, 3, 1), 6);
  EXPECT_EQ(uses_until_paid(0.1, 3, 1), 1);
  EXPECT_EQ(uses_until_paid(0, 3, 1), 0);
  EXPECT_EQ(uses_until_paid(10, 1, 1), std::nullopt);
  EXPECT_EQ(uses_until_paid(10, 1, 2), std::nullopt);
}

TEST(UsesUntilPaid, IsOneForThePapersPrompts) {
  Shapes shapes("llama-7b");
  const std::vector<RowLengths> rows = paper_rows("llama-7b");
  const auto reading = [&](Caching caching) {
    return static_cast<double>(total(shapes.answers(rows, caching).reading).visible);
  };
  const auto once = static_cast<double>(total(shapes.compression(rows, Caching::gist)).visible);
  EXPECT_EQ(uses_until_paid(once, reading(Caching::none), reading(Caching::gist)), 1);
}

}  // namespace
}  // namespace gist
