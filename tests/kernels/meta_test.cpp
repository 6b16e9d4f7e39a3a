#include "kernels/meta/meta_backend.h"

#include <gtest/gtest.h>

#include <set>
#include <type_traits>
#include <utility>
#include <variant>

#include "tests/kernels/device_arrays.h"
#include "tests/kernels/oracle.h"

namespace gist::test {
namespace {

template <std::size_t... I>
std::vector<std::string> names_of_operations(std::index_sequence<I...>) {
  return {std::remove_pointer_t<std::variant_alternative_t<I, Operation>>::name...};
}

TEST(Meta, CountsEachOperationUnderANameOfItsOwn) {
  const auto names =
      names_of_operations(std::make_index_sequence<std::variant_size_v<Operation>>());
  EXPECT_EQ(std::set(names.begin(), names.end()).size(), names.size());
}

TEST(Meta, CountsProductsExactly) {
  const auto meta = make_meta_backend();
  DeviceArrays arrays(*meta);
  const auto w = meta->pack({nullptr, Dtype::bf16, {7, 5}});
  meta->run(ops::Gemm{.x = arrays.empty({3, 5}), .w = *w, .y = arrays.empty({3, 7})});
  const OpCost& cost = meta->costs().at("gemm");
  EXPECT_EQ(cost.calls, 1);
  EXPECT_EQ(cost.flops, 2 * 3 * 7 * 5);
  EXPECT_EQ(cost.bytes_read, 4 * (3 * 5 + 7 * 5));
  EXPECT_EQ(cost.bytes_written, 4 * 3 * 7);
  meta->run(ops::Gemm{
      .x = arrays.empty({3, 5}), .w = *w, .bias = arrays.empty({7}), .y = arrays.empty({3, 7})});
  EXPECT_EQ(cost.flops, 2 * (2 * 3 * 7 * 5) + 3 * 7);
  EXPECT_EQ(cost.dense_flops, cost.flops);
}

TEST(Meta, CountsTheExpertsThatRowsGoToAndNoOthers) {
  const auto meta = make_meta_backend();
  DeviceArrays arrays(*meta);
  const auto w = meta->pack({nullptr, Dtype::f32, {7, 5}});
  const std::vector<const Matrix*> experts(8, w.get());
  const auto run = [&](std::int64_t rows) {
    meta->reset_costs();
    meta->run(ops::ExpertGemm{.x = arrays.empty({rows, 5}),
                              .ends = arrays.empty(Dtype::i32, {8}),
                              .w = experts,
                              .y = arrays.empty({rows, 7})});
    return meta->costs().at("expert_gemm");
  };
  EXPECT_EQ(run(2).flops, 2 * 2 * 7 * 5);  // a token's two experts
  EXPECT_EQ(run(2).bytes_read, 4 * (2 * 5 + 8 + 2 * 7 * 5));
  EXPECT_EQ(run(100).flops, 2 * 100 * 7 * 5);
  EXPECT_EQ(run(100).bytes_read, 4 * (100 * 5 + 8 + 8 * 7 * 5));
}

TEST(Meta, CountsAttentionByVisiblePairsAndByListedOnes) {
  const auto meta = make_meta_backend();
  DeviceArrays arrays(*meta);
  const AttentionKeys visible{arrays.empty(Dtype::i32, {1, 5}),
                              arrays.empty(Dtype::i32, {6}),
                              arrays.empty(Dtype::i32, {6}),
                              arrays.empty(Dtype::i32, {6}),
                              21,
                              36};
  meta->run(ops::Attention{.q = arrays.empty({6, 4, 8}),
                           .keys = arrays.empty({6, 2, 8}),
                           .values = arrays.empty({6, 2, 16}),
                           .visible = visible,
                           .y = arrays.empty({6, 4, 16})});
  EXPECT_EQ(meta->total_flops(), 21 * 4 * (2 * 8 + 2 * 16));
  EXPECT_EQ(meta->costs().at("attention").dense_flops, 36 * 4 * (2 * 8 + 2 * 16));
}

TEST(Meta, CountsElementsAndOperations) {
  const auto meta = make_meta_backend();
  DeviceArrays arrays(*meta);
  const Tensor x = arrays.empty({3, 8});
  meta->run(ops::Add{.a = x, .b = x, .y = x});
  EXPECT_EQ(meta->costs().at("add").flops, 24);
  meta->run(ops::GatedActivation{.activation = Activation::silu, .gate = x, .up = x, .y = x});
  EXPECT_EQ(meta->costs().at("gated_activation").flops, 48);
  meta->run(ops::RmsNorm{.x = x, .weight = arrays.empty({8}), .eps = 1e-5F, .y = x});
  EXPECT_EQ(meta->costs().at("rms_norm").flops, 96);
  EXPECT_EQ(meta->total_flops(), 24 + 48 + 96);
  meta->reset_costs();
  EXPECT_EQ(meta->total_flops(), 0);
  EXPECT_TRUE(meta->costs().empty());
}

TEST(Meta, CountsGradientsOfProductsExactly) {
  const auto meta = make_meta_backend();
  DeviceArrays arrays(*meta);
  const Tensor dy = arrays.empty({3, 7}), w = arrays.empty({7, 5}), x = arrays.empty({3, 5});
  constexpr std::int64_t product = 2 * 3 * 7 * 5;
  meta->run(ops::GemmInputGradient{.dy = dy, .w = w, .dx = x});
  const OpCost& by_input = meta->costs().at("gemm_input_gradient");
  EXPECT_EQ(by_input.flops, product);
  EXPECT_EQ(by_input.bytes_read, 4 * (3 * 7 + 7 * 5));
  meta->run(ops::GemmInputGradient{.dy = dy, .w = w, .accumulate = true, .dx = x});
  EXPECT_EQ(by_input.flops, 2 * product);
  EXPECT_EQ(by_input.bytes_read, 4 * (2 * (3 * 7 + 7 * 5) + 3 * 5));
  EXPECT_EQ(by_input.bytes_written, 4 * 2 * 3 * 5);
  meta->run(ops::GemmWeightGradient{.dy = dy, .x = x, .dw = w});
  const OpCost& by_weight = meta->costs().at("gemm_weight_gradient");
  EXPECT_EQ(by_weight.flops, product);
  meta->run(ops::GemmWeightGradient{.dy = dy, .x = x, .dw = w, .dbias = arrays.empty({7})});
  EXPECT_EQ(by_weight.flops, 2 * product + 3 * 7);
  // Three products: the logits, and the gradients of hidden states and head.
  const Tensor labels = arrays.empty(Dtype::i32, {3}), loss = arrays.empty({3});
  meta->run(ops::LinearCrossEntropyGradient{
      .hidden = x, .head = w, .labels = labels, .loss = loss, .dhidden = x, .dhead = w});
  EXPECT_EQ(meta->costs().at("linear_cross_entropy_gradient").flops, 3 * product + 5 * 3 * 7);
}

TEST(Meta, CountsTheGradientOfAttentionLikewise) {
  const auto meta = make_meta_backend();
  DeviceArrays arrays(*meta);
  const AttentionKeys visible{arrays.empty(Dtype::i32, {1, 5}),
                              arrays.empty(Dtype::i32, {6}),
                              arrays.empty(Dtype::i32, {6}),
                              arrays.empty(Dtype::i32, {6}),
                              21,
                              36};
  const Tensor q = arrays.empty({6, 4, 8}), keys = arrays.empty({6, 2, 8});
  const Tensor values = arrays.empty({6, 2, 16}), y = arrays.empty({6, 4, 16});
  meta->run(ops::AttentionBackward{.forward = {.q = q,
                                               .keys = keys,
                                               .values = values,
                                               .visible = visible,
                                               .y = y,
                                               .log_sum_exp = arrays.empty({6, 4})},
                                   .dy = y,
                                   .dq = q,
                                   .dkeys = keys,
                                   .dvalues = values});
  EXPECT_EQ(meta->total_flops(), 2 * 21 * 4 * (3 * 8 + 2 * 16));
  EXPECT_EQ(meta->costs().at("attention_backward").dense_flops, 2 * 36 * 4 * (3 * 8 + 2 * 16));
}

TEST(Meta, CountsElementsAndOperationsOfGradients) {
  const auto meta = make_meta_backend();
  DeviceArrays arrays(*meta);
  const Tensor x = arrays.empty({3, 8}), weight = arrays.empty({8}), norm = arrays.empty({1});
  const auto flops = [&](const char* op) { return meta->costs().at(op).flops; };
  meta->run(ops::Zero{.x = x});
  EXPECT_EQ(flops("zero"), 0);
  meta->run(ops::EmbeddingBackward{
      .ids = arrays.empty(Dtype::i32, {3}), .dy = x, .dtable = arrays.empty({50, 8})});
  EXPECT_EQ(flops("embedding_backward"), 24);
  meta->run(ops::RmsNormBackward{
      .x = x, .weight = weight, .eps = 1e-5F, .dy = x, .dx = x, .dweight = weight});
  EXPECT_EQ(flops("rms_norm_backward"), 240);
  meta->run(ops::GatedActivationBackward{
      .activation = Activation::silu, .gate = x, .up = x, .dy = x, .dgate = x, .dup = x});
  EXPECT_EQ(flops("gated_activation_backward"), 7 * 24);
  meta->run(ops::Norm{.x = x, .y = norm});
  EXPECT_EQ(flops("norm"), 48);
  meta->run(ops::Adamw{.options = {},
                       .gradient = x,
                       .norm = norm,
                       .weight = x,
                       .first_moment = x,
                       .second_moment = x});
  EXPECT_EQ(flops("adamw"), 12 * 24);
  EXPECT_EQ(meta->costs().at("adamw").bytes_written, 4 * 3 * 24);
}

TEST(Meta, APlainWeightTakesNoMemoryOfItsOwn) {
  const auto meta = make_meta_backend(Dtype::bf16);
  DeviceArrays arrays(*meta);
  const Tensor weight = arrays.empty({7, 5});
  const std::size_t before = meta->memory().current;
  EXPECT_EQ(meta->plain(weight)->bytes(), weight.bytes());
  EXPECT_EQ(meta->memory().current, before);
}

TEST(Meta, CountsWeightsInTheDtypeOfProducts) {
  for (const Dtype dtype : {Dtype::f32, Dtype::bf16}) {
    const auto meta = make_meta_backend(dtype);
    const auto w = meta->pack({nullptr, Dtype::f16, {100, 10}});
    EXPECT_EQ(w->bytes(), 1000 * size_of(dtype));
    EXPECT_EQ(meta->memory().current, w->bytes());
  }
  EXPECT_THROW(make_meta_backend(Dtype::i32), Error);
}

TEST(Meta, AllocatesNothingButCountsIt) {
  const auto meta = make_meta_backend();
  constexpr std::size_t terabyte = std::size_t{1} << 40;
  {
    const Buffer a = meta->allocate(terabyte);
    const Buffer b = meta->allocate(terabyte);
    const Buffer empty = meta->allocate(0);
    EXPECT_NE(a.data(), nullptr);
    EXPECT_NE(a.data(), b.data());
    EXPECT_NE(empty.data(), b.data());
    EXPECT_EQ(meta->memory().current, 2 * terabyte);
  }
  EXPECT_EQ(meta->memory().current, 0);
  EXPECT_EQ(meta->memory().peak, 2 * terabyte);
  EXPECT_GT(meta->memory().available, 1000 * terabyte);
}

TEST(Meta, DownloadsZeros) {
  const auto meta = make_meta_backend();
  DeviceArrays arrays(*meta);
  const Tensor x = arrays.of({3}, Floats{1, 2, 3});
  Floats y = {9, 9, 9};
  meta->download(x, y.data());
  EXPECT_EQ(y, Floats(3, 0.0F));
}

}  // namespace
}  // namespace gist::test
