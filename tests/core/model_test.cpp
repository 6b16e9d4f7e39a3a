#include "core/model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <set>

#include "core/answer_loss.h"
#include "core/cached_row.h"
#include "core/parameters.h"
#include "kernels/error.h"
#include "kernels/meta/meta_backend.h"
#include "tests/core/loaded_model.h"
#include "tests/core/passes.h"

namespace gist {
namespace {

using testing::HasSubstr;

/// The message of the Error(data) that loading throws.
std::string refusal(const LlamaShape& shape, const WeightSource& source) {
  const auto backend = make_cpu_backend();
  try {
    const Model model(std::make_unique<LlamaFamily>(shape), *backend, source);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::data);
    return error.what();
  }
  return "nothing was refused";
}

class ModelLoading : public testing::Test {
 protected:
  LlamaShape shape_ = small_shape();
  ModelSpec spec_ = LlamaFamily(shape_).spec();
  Weights weights_ = random_weights(spec_, 1);
};

TEST_F(ModelLoading, NamesAMissingTensorItsShapeAndTheSource) {
  weights_.erase("model.layers.1.mlp.up_proj.weight");
  EXPECT_THAT(refusal(shape_, source_of(spec_, weights_)),
              AllOf(HasSubstr("model.layers.1.mlp.up_proj.weight"), HasSubstr("[48, 32]"),
                    HasSubstr("the test's weights")));
}

TEST_F(ModelLoading, NamesATensorOfAnotherShapeAndBothShapes) {
  WeightSource source = source_of(spec_, weights_);
  source.find = [find = source.find](const std::string& name) {
    std::optional<HostTensor> tensor = find(name);
    if (name == "model.layers.0.self_attn.k_proj.weight") tensor->shape = {32, 16};
    return tensor;
  };
  EXPECT_THAT(refusal(shape_, source), AllOf(HasSubstr("model.layers.0.self_attn.k_proj.weight"),
                                             HasSubstr("[32, 16]"), HasSubstr("[16, 32]")));
}

TEST_F(ModelLoading, NamesATensorAndThePlaceOfAValueThatIsNotFinite) {
  const float infinity = std::numeric_limits<float>::infinity();
  for (const auto& [name, place] :
       {std::pair{"model.layers.1.mlp.up_proj.weight", "[1, 3]"},
        std::pair{"model.embed_tokens.weight", "[1, 3]"}, std::pair{"model.norm.weight", "[3]"}}) {
    Weights weights = weights_;
    const bool matrix = std::string(place).size() > 3;
    weights[name][matrix ? 32 + 3 : 3] = -infinity;
    EXPECT_THAT(refusal(shape_, source_of(spec_, weights)),
                AllOf(HasSubstr(name), HasSubstr(place), HasSubstr("-inf"),
                      HasSubstr("the test's weights")));
    const auto backend = make_cpu_backend();
    Parameters parameters(spec_, *backend);
    EXPECT_THROW(load(parameters, source_of(spec_, weights)), Error);
  }
}

TEST_F(ModelLoading, RefusesIntegers) {
  WeightSource source = source_of(spec_, weights_);
  source.find = [find = source.find](const std::string& name) {
    std::optional<HostTensor> tensor = find(name);
    if (name == "model.norm.weight") tensor->dtype = Dtype::i32;
    return tensor;
  };
  EXPECT_THAT(refusal(shape_, source), HasSubstr("model.norm.weight"));
}

TEST_F(ModelLoading, TiedWeightsHaveTheValuesOfTheOther) {
  shape_.tied = true;
  const Weights tied = random_weights(LlamaFamily(shape_).spec(), 1);
  ASSERT_FALSE(tied.contains("lm_head.weight"));
  Weights untied = tied;
  untied["lm_head.weight"] = tied.at("model.embed_tokens.weight");

  const auto backend = make_cpu_backend();
  Scratch scratch(*backend);
  LabelledSequence row;
  row.sequence.ids = {1, 2, 3};
  row.labels = 2;
  const Model one(std::make_unique<LlamaFamily>(shape_), *backend,
                  source_of(LlamaFamily(shape_).spec(), tied));
  const Model two(std::make_unique<LlamaFamily>(small_shape()), *backend, source_of(spec_, untied));
  EXPECT_EQ(label_logits(one, {&row, 1}, scratch), label_logits(two, {&row, 1}, scratch));
}

TEST_F(ModelLoading, EachTensorIsDoneOnceAndNotReadAfterwards) {
  shape_.tied = true;
  const ModelSpec spec = LlamaFamily(shape_).spec();
  const Weights weights = random_weights(spec, 1);
  WeightSource source = source_of(spec, weights);
  std::set<std::string> done;
  source.find = [&, find = source.find](const std::string& name) {
    EXPECT_FALSE(done.contains(name)) << name << " is read after it was done";
    return find(name);
  };
  source.done = [&](const std::string& name) { EXPECT_TRUE(done.insert(name).second) << name; };
  const auto backend = make_cpu_backend();
  const Model model(std::make_unique<LlamaFamily>(shape_), *backend, source);
  EXPECT_EQ(done.size(), weights.size());
}

class HalfPrecision : public testing::TestWithParam<std::string> {};

TEST_P(HalfPrecision, CheckpointsGiveTheirValues) {
  const ModelSpec spec = small_family(GetParam())->spec();
  const Weights weights = initial_weights(spec, 1);
  std::map<std::string, std::vector<std::byte>> halves;
  Weights rounded;
  for (const auto& [name, values] : weights) {
    halves[name].resize(values.size() * 2);
    convert_from_f32(values.data(), static_cast<std::int64_t>(values.size()), Dtype::bf16,
                     halves[name].data());
    for (const float value : values) rounded[name].push_back(bf16_to_f32(f32_to_bf16(value)));
  }
  WeightSource source = source_of(spec, weights);
  source.find = [&, find = source.find](const std::string& name) {
    std::optional<HostTensor> tensor = find(name);
    tensor->dtype = Dtype::bf16;
    tensor->data = halves.at(name).data();
    return tensor;
  };
  const auto backend = make_cpu_backend();
  Scratch scratch(*backend);
  LabelledSequence row;
  row.sequence.ids = random_ids(30, 50, 1);
  row.labels = 10;
  const Model half(small_family(GetParam()), *backend, source);
  const Model full(small_family(GetParam()), *backend, source_of(spec, rounded));
  EXPECT_EQ(label_logits(half, {&row, 1}, scratch), label_logits(full, {&row, 1}, scratch));
}

INSTANTIATE_TEST_SUITE_P(, HalfPrecision, testing::ValuesIn(small_families()),
                         [](const auto& suite) { return suite.param; });

// --- shapes only ---

LlamaShape llama_7b() {
  LlamaShape shape;
  shape.d_model = 4096;
  shape.mlp_dim = 11008;
  shape.vocabulary = 32000;
  shape.layers = 32;
  shape.heads = shape.kv_heads = 32;
  shape.max_positions = 2048;
  return shape;
}

struct MetaModel {
  explicit MetaModel(const LlamaShape& shape, Dtype dtype)
      : backend(make_meta_backend(dtype)),
        model(std::make_unique<LlamaFamily>(shape), *backend,
              shapes_only(LlamaFamily(shape).spec(), dtype)),
        scratch(*backend) {}
  std::unique_ptr<CountingBackend> backend;
  Model model;
  Scratch scratch;
};

TEST(ShapesOnly, CountsTheWeightsOfLlama7B) {
  const MetaModel meta(llama_7b(), Dtype::bf16);
  constexpr std::size_t norms = (2 * 32 + 1) * 4096;
  constexpr std::size_t parameters = 6'738'415'616;
  EXPECT_EQ(meta.model.weight_bytes(), 2 * (parameters - norms) + 4 * norms);
  EXPECT_EQ(meta.backend->memory().current, meta.model.weight_bytes());
}

/// Returns the FLOPs of one pass without the head. `pairs` see each other.
std::int64_t forward_flops(const LlamaShape& s, std::int64_t n, std::int64_t pairs) {
  const std::int64_t d = s.d_model;
  const std::int64_t products = 2 * d * d + 2 * d * s.kv_dim() + 3 * d * s.mlp_dim;
  const std::int64_t layer = 2 * n * products                                 // products
                             + 2 * pairs * s.heads * 2 * s.head_dim()         // attention
                             + 3 * n * (s.heads + s.kv_heads) * s.head_dim()  // rotation
                             + 2 * 4 * n * d                                  // norms
                             + 2 * n * d                                      // residuals
                             + 2 * n * s.mlp_dim;                             // gated activation
  const std::int64_t rotation = 2 * n * s.head_dim();  // angles, cosines and sines: once a pass
  return s.layers * layer + rotation + 4 * n * d;
}

TEST(ShapesOnly, AForwardPassTakesTheFlopsOfTheClosedFormula) {
  LlamaShape grouped = llama_7b();
  grouped.kv_heads = 8;
  for (const LlamaShape& shape : {llama_7b(), grouped, small_shape()}) {
    MetaModel meta(shape, Dtype::f32);
    Batch batch;
    add_sequence(batch, {std::vector<std::int32_t>(20), {}}, Condition::pos, StackKind::causal);
    add_sequence(batch, {std::vector<std::int32_t>(10), {{6, 7}}}, Condition::gist,
                 StackKind::causal);
    // 20 * 21 / 2; 7 * 8 / 2 up to the gist, then 2 + 3 + 4.
    constexpr std::int64_t pairs = 210 + 28 + 9;
    meta.backend->reset_costs();
    Pass pass(meta.model, batch, {}, meta.scratch);
    const Tensor hidden = forward(pass);
    EXPECT_EQ(hidden.shape, (Shape{30, shape.d_model}));
    EXPECT_EQ(meta.backend->total_flops(), forward_flops(shape, 30, pairs));

    meta.backend->reset_costs();
    EXPECT_EQ(logits(meta.model, hidden.rows(0, 3), pass.lasting()).shape,
              (Shape{3, shape.vocabulary}));
    EXPECT_EQ(meta.backend->total_flops(), 2 * 3 * std::int64_t{shape.vocabulary} * shape.d_model);
  }
}

TEST(ShapesOnly, TheGistSavesTheFlopsOfThePrompt) {
  MetaModel meta(small_shape(), Dtype::f32);
  const Sequence whole{std::vector<std::int32_t>(40), {{30, 31}}};
  const GistActivations stored = compress_one(meta.model, whole, meta.scratch);
  EXPECT_EQ(stored.key.size(), 2U * 2 * 8);
  EXPECT_EQ(stored.hidden.size(), 32U);
  KeyValueCache cache(meta.model, 0, 64);
  CachedBatch batch;
  batch.options.cache = &cache;
  CachedRow row;
  place_gist(row, stored, 30, cache, batch);
  extend_row(row, tail_of(whole).ids, {}, Condition::pos, StackKind::causal, cache, batch);
  meta.backend->reset_costs();
  Pass pass(meta.model, batch.batch, batch.options, meta.scratch);
  forward(pass);
  constexpr std::int64_t pairs = 9 * 10 / 2 + 9;  // among themselves, and with the gist
  // The stored key is rotated in each layer, by angles that are computed once.
  const std::int64_t placing = 2 * 3 * 2 * 8 + 2 * 8;
  EXPECT_EQ(meta.backend->total_flops(), forward_flops(small_shape(), 9, pairs) + placing);
}

TEST(ShapesOnly, CompressAnswerLossAndGenerateRun) {
  MetaModel meta(small_shape(), Dtype::bf16);
  const Sequence whole{std::vector<std::int32_t>(20), {{10, 12}}};
  const GistActivations stored = compress_one(meta.model, whole, meta.scratch);
  EXPECT_EQ(stored.tokens, 2);
  const std::vector<LabelledSequence> rows{{whole, 3, Condition::gist, nullptr, 0},
                                           {tail_of(whole), 8, Condition::pos, &stored, 10}};
  const auto losses = answer_loss(meta.model, rows, meta.scratch);
  EXPECT_EQ(losses[0].labels, 3);
  EXPECT_EQ(losses[1].labels, 8);
  GenerationOptions options;
  options.max_new_tokens = 4;
  EXPECT_EQ(complete(meta.model, options, {{whole, Condition::gist, nullptr, 0, 0}})[0].ids.size(),
            4U);
  EXPECT_GT(meta.backend->total_flops(), 0);
}

}  // namespace
}  // namespace gist
