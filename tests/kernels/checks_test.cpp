#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "kernels/meta/meta_backend.h"
#include "tests/kernels/device_arrays.h"
#include "tests/kernels/oracle.h"

namespace gist::test {
namespace {

using testing::HasSubstr;

std::string error_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::internal);
    return error.what();
  }
  return "no error";
}

/// Both backends check alike.
class Checks : public testing::TestWithParam<bool> {
 protected:
  Tensor f32(const Shape& shape) { return arrays_.empty(shape); }
  Tensor i32(const Shape& shape) {
    return arrays_.of(shape, Integers(static_cast<std::size_t>(shape.elements()), 0));
  }
  void expect_refused(const char* op, const std::function<void()>& call) {
    EXPECT_THAT(error_of(call), HasSubstr(std::string(op) + ": expected"));
  }

  std::unique_ptr<Backend> backend_ =
      GetParam() ? std::unique_ptr<Backend>(make_meta_backend()) : make_cpu_backend();
  DeviceArrays arrays_{*backend_};
};

TEST_P(Checks, NameTheOperationAndTheShapes) {
  const Floats values(6);
  const auto w = backend_->pack(host_tensor({2, 3}, values));
  const std::string message = error_of([&] {
    backend_->run(ops::Gemm{.x = f32({5, 4}), .w = *w, .y = f32({5, 2})});
  });
  EXPECT_THAT(message, HasSubstr("gemm: expected x f32 [m, 3]"));
  EXPECT_THAT(message, HasSubstr("found x f32 [5, 4], y f32 [5, 2]"));
}

TEST_P(Checks, RefuseTensorsThatDoNotFit) {
  const Floats values(6);
  const auto w = backend_->pack(host_tensor({2, 3}, values));
  expect_refused("gemm", [&] {
    backend_->run(ops::Gemm{.x = f32({5, 3}), .w = *w, .bias = f32({3}), .y = f32({5, 2})});
  });
  expect_refused("gemm", [&] {
    backend_->run(ops::Gemm{.x = f32({5, 3}), .w = *w, .y = f32({4, 2})});
  });
  expect_refused("pack", [&] { backend_->pack({nullptr, Dtype::i32, {2, 3}}); });
  expect_refused("pack", [&] { backend_->pack({nullptr, Dtype::f32, {6}}); });
  expect_refused("copy", [&] { backend_->copy(f32({4}), f32({5})); });
  expect_refused("copy", [&] { backend_->copy(f32({4}), i32({4})); });
  expect_refused("embedding", [&] {
    backend_->run(ops::Embedding{.table = f32({4, 3}), .ids = i32({2}), .y = f32({2, 4})});
  });
  expect_refused("embedding", [&] {
    backend_->run(ops::Embedding{.table = i32({4, 3}), .ids = i32({2}), .y = f32({2, 3})});
  });
  expect_refused("rms_norm", [&] {
    backend_->run(ops::RmsNorm{.x = f32({2, 3}), .weight = f32({2}), .eps = 0, .y = f32({2, 3})});
  });
  expect_refused("rms_norm", [&] {
    backend_->run(ops::RmsNorm{.x = f32({2, 3}), .weight = f32({3}), .eps = -1, .y = f32({2, 3})});
  });
  expect_refused("add",
                 [&] { backend_->run(ops::Add{.a = f32({2}), .b = f32({3}), .y = f32({2})}); });
  expect_refused("add", [&] {
    backend_->run(ops::Add{.a = f32({2}), .b = f32({2}), .y = Tensor{nullptr, Dtype::f32, {2}}});
  });
  expect_refused("gated_activation", [&] {
    backend_->run(ops::GatedActivation{
        .activation = Activation::silu, .gate = f32({2}), .up = f32({3}), .y = f32({2})});
  });
  expect_refused("rotate", [&] {
    backend_->run(ops::Rotate{.x = f32({2, 1, 4}),
                              .rotation = f32({2, 2, 3}),
                              .pairs = RopePairs::half,
                              .direction = RotateDirection::forward,
                              .y = f32({2, 1, 4})});
  });
  expect_refused("rotate", [&] {
    backend_->run(ops::Rotate{.x = f32({2, 1, 4}),
                              .rotation = f32({3, 2, 2}),
                              .pairs = RopePairs::half,
                              .direction = RotateDirection::forward,
                              .y = f32({2, 1, 4})});
  });
  expect_refused("rotation", [&] {
    backend_->run(
        ops::Rotation{.positions = i32({3}), .inv_freq = f32({2}), .rotation = f32({3, 2, 3})});
  });
  expect_refused("gather_rows", [&] {
    backend_->run(ops::GatherRows{.x = f32({4, 2}), .rows = i32({3}), .y = f32({3, 3})});
  });
  expect_refused("scatter_rows", [&] {
    backend_->run(ops::ScatterRows{.x = f32({4, 2}), .rows = i32({3}), .y = f32({9, 2})});
  });
  expect_refused("linear_cross_entropy", [&] {
    backend_->run(ops::LinearCrossEntropy{
        .hidden = f32({5, 3}), .head = *w, .labels = i32({5}), .loss = f32({5}), .best = f32({5})});
  });
  expect_refused("scale_and_cap", [&] {
    backend_->run(ops::ScaleAndCap{.x = i32({5}), .scale = 1, .soft_cap = 0, .y = i32({5})});
  });
  expect_refused("scale_and_cap", [&] {
    backend_->run(ops::ScaleAndCap{.x = f32({5}), .scale = 1, .soft_cap = -1, .y = f32({5})});
  });
  expect_refused("rms_norm", [&] {
    backend_->run(ops::RmsNorm{.x = f32({2, 3}),
                               .weight = f32({3}),
                               .weight_offset = std::numeric_limits<float>::infinity(),
                               .eps = 0,
                               .y = f32({2, 3})});
  });
  expect_refused("layer_norm", [&] {
    backend_->run(ops::LayerNorm{
        .x = f32({2, 3}), .weight = f32({2}), .bias = {}, .eps = 0, .y = f32({2, 3})});
  });
  expect_refused("layer_norm", [&] {
    backend_->run(ops::LayerNorm{
        .x = f32({2, 3}), .weight = {}, .bias = i32({3}), .eps = 0, .y = f32({2, 3})});
  });
  expect_refused("layer_norm_backward", [&] {
    backend_->run(ops::LayerNormBackward{.x = f32({2, 3}),
                                         .weight = {},
                                         .eps = 0,
                                         .dy = f32({2, 3}),
                                         .dx = f32({2, 3}),
                                         .dweight = f32({3}),
                                         .dbias = {}});
  });
  expect_refused("columns", [&] {
    backend_->run(
        ops::Columns{.x = f32({2, 6}), .blocks = {.first = 4, .width = 3}, .y = f32({2, 3})});
  });
  expect_refused("columns_backward", [&] {
    backend_->run(ops::ColumnsBackward{
        .dy = f32({2, 2}), .blocks = {.first = 0, .width = 3}, .dx = f32({2, 6})});
  });
  expect_refused("sample", [&] {
    backend_->run(ops::Sample{.logits = f32({5, 3}), .uniform = f32({4}), .ids = i32({5})});
  });
}

TEST_P(Checks, RefuseGradientsThatDoNotFit) {
  const auto unused = Tensor{nullptr, Dtype::f32, {3}};
  expect_refused("plain", [&] { backend_->plain(f32({6})); });
  expect_refused("plain", [&] { backend_->plain(i32({2, 3})); });
  expect_refused("zero", [&] { backend_->run(ops::Zero{.x = unused}); });
  expect_refused("gemm_input_gradient", [&] {
    backend_->run(ops::GemmInputGradient{.dy = f32({5, 2}), .w = f32({3, 2}), .dx = f32({5, 3})});
  });
  expect_refused("gemm_input_gradient", [&] {
    backend_->run(ops::GemmInputGradient{.dy = f32({5, 2}), .w = f32({2, 3}), .dx = f32({4, 3})});
  });
  expect_refused("gemm_weight_gradient", [&] {
    backend_->run(ops::GemmWeightGradient{.dy = f32({5, 2}), .x = f32({4, 3}), .dw = f32({2, 3})});
  });
  expect_refused("gemm_weight_gradient", [&] {
    backend_->run(ops::GemmWeightGradient{.dy = f32({5, 2}), .x = f32({5, 3}), .dw = f32({3, 2})});
  });
  expect_refused("gemm_weight_gradient", [&] {
    backend_->run(ops::GemmWeightGradient{
        .dy = f32({5, 2}), .x = f32({5, 3}), .dw = f32({2, 3}), .dbias = f32({3})});
  });
  expect_refused("embedding_backward", [&] {
    backend_->run(
        ops::EmbeddingBackward{.ids = i32({2}), .dy = f32({2, 3}), .dtable = f32({4, 2})});
  });
  expect_refused("embedding_backward", [&] {
    backend_->run(
        ops::EmbeddingBackward{.ids = i32({3}), .dy = f32({2, 3}), .dtable = f32({4, 3})});
  });
  expect_refused("rms_norm_backward", [&] {
    backend_->run(ops::RmsNormBackward{.x = f32({2, 3}),
                                       .weight = f32({3}),
                                       .eps = 0,
                                       .dy = f32({2, 3}),
                                       .dx = f32({2, 3}),
                                       .dweight = f32({2})});
  });
  expect_refused("rms_norm_backward", [&] {
    backend_->run(ops::RmsNormBackward{.x = f32({2, 3}),
                                       .weight = f32({3}),
                                       .eps = 0,
                                       .dy = f32({3, 2}),
                                       .dx = f32({2, 3}),
                                       .dweight = f32({3})});
  });
  expect_refused("rms_norm_backward", [&] {
    backend_->run(ops::RmsNormBackward{.x = f32({2, 3}),
                                       .weight = f32({3}),
                                       .eps = -1,
                                       .dy = f32({2, 3}),
                                       .dx = f32({2, 3}),
                                       .dweight = f32({3})});
  });
  for (int wrong = 0; wrong < 5; ++wrong) {
    const auto each = [&](int i) { return f32({i == wrong ? 3 : 2}); };
    expect_refused("gated_activation_backward", [&] {
      backend_->run(ops::GatedActivationBackward{.activation = Activation::silu,
                                                 .gate = each(0),
                                                 .up = each(1),
                                                 .dy = each(2),
                                                 .dgate = each(3),
                                                 .dup = each(4)});
    });
  }
  for (int wrong = 0; wrong < 4; ++wrong) {
    const auto each = [&](int i) { return f32({i == wrong ? 3 : 2}); };
    expect_refused("adamw", [&] {
      backend_->run(ops::Adamw{.options = {},
                               .gradient = each(0),
                               .norm = f32({1}),
                               .weight = each(1),
                               .first_moment = each(2),
                               .second_moment = each(3)});
    });
  }
  expect_refused("norm", [&] { backend_->run(ops::Norm{.x = f32({2}), .y = f32({2})}); });
  expect_refused("norm", [&] { backend_->run(ops::Norm{.x = i32({2}), .y = f32({1})}); });
  expect_refused("adamw", [&] {
    backend_->run(ops::Adamw{.options = {},
                             .gradient = f32({2}),
                             .norm = f32({2}),
                             .weight = f32({2}),
                             .first_moment = f32({2}),
                             .second_moment = f32({2})});
  });
}

TEST_P(Checks, RefuseOptionsOfAdamwOutOfRange) {
  const auto refused = [&](const std::function<void(AdamwOptions&)>& change) {
    AdamwOptions options;
    change(options);
    expect_refused("adamw", [&] {
      backend_->run(ops::Adamw{.options = options,
                               .gradient = f32({2}),
                               .norm = f32({1}),
                               .weight = f32({2}),
                               .first_moment = f32({2}),
                               .second_moment = f32({2})});
    });
  };
  refused([](auto& options) { options.beta1 = 1; });
  refused([](auto& options) { options.beta2 = -0.1; });
  refused([](auto& options) { options.step = 0; });
  refused([](auto& options) { options.eps = -1; });
  refused([](auto& options) { options.max_norm = -1; });
  refused([](auto& options) { options.lr = std::nan(""); });
  refused([](auto& options) { options.weight_decay = std::nan(""); });
}

TEST_P(Checks, RefuseTensorsOfTheLossGradientThatDoNotFit) {
  struct Call {
    Shape hidden{5, 3}, head{7, 3}, labels{5}, loss{5}, dhidden{5, 3}, dhead{7, 3}, dbias{7};
    CrossEntropySpec spec;
  };
  const auto refused = [&](const std::function<void(Call&)>& change) {
    Call c;
    change(c);
    expect_refused("linear_cross_entropy_gradient", [&] {
      backend_->run(ops::LinearCrossEntropyGradient{.hidden = f32(c.hidden),
                                                    .head = f32(c.head),
                                                    .bias = f32({7}),
                                                    .spec = c.spec,
                                                    .labels = i32(c.labels),
                                                    .loss = f32(c.loss),
                                                    .dhidden = f32(c.dhidden),
                                                    .dhead = f32(c.dhead),
                                                    .dbias = f32(c.dbias)});
    });
  };
  refused([](Call& c) { c.hidden = {5, 4}; });
  refused([](Call& c) { c.head = {3, 7}; });
  refused([](Call& c) { c.labels = {4}; });
  refused([](Call& c) { c.loss = {4}; });
  refused([](Call& c) { c.dhidden = {3, 5}; });
  refused([](Call& c) { c.dhead = {7, 4}; });
  refused([](Call& c) { c.dbias = {5}; });
  refused([](Call& c) { c.spec.factor = std::nanf(""); });
  refused([](Call& c) { c.spec.soft_cap = -1; });
  refused([](Call& c) { c.spec.label_smoothing = 1; });
}

TEST_P(Checks, RefuseTensorsOfTheGradientOfAttentionThatDoNotFit) {
  const AttentionKeys keys{i32({1, 5}), i32({2}), i32({2}), i32({2}), 0};
  // The right shapes of log_sum_exp, dy, dq, dkeys and dvalues, in this order.
  const Shape right[] = {{2, 4}, {2, 4, 6}, {2, 4, 4}, {2, 2, 4}, {2, 2, 6}};
  for (int wrong = 1; wrong < 5; ++wrong) {
    const auto each = [&](int i) { return f32(i == wrong ? Shape{2, 4, 5} : right[i]); };
    expect_refused("attention_backward", [&] {
      backend_->run(ops::AttentionBackward{.forward = {.q = f32({2, 4, 4}),
                                                       .keys = f32({2, 2, 4}),
                                                       .values = f32({2, 2, 6}),
                                                       .visible = keys,
                                                       .y = f32({2, 4, 6}),
                                                       .log_sum_exp = each(0)},
                                           .dy = each(1),
                                           .dq = each(2),
                                           .dkeys = each(3),
                                           .dvalues = each(4)});
    });
  }
  expect_refused("attention_backward", [&] {
    backend_->run(ops::AttentionBackward{.forward = {.q = f32({2, 4, 4}),
                                                     .keys = f32({2, 2, 4}),
                                                     .values = f32({2, 2, 6}),
                                                     .visible = keys,
                                                     .y = f32({2, 4, 6})},
                                         .dy = f32({2, 4, 6}),
                                         .dq = f32({2, 4, 4}),
                                         .dkeys = f32({2, 2, 4}),
                                         .dvalues = f32({2, 2, 6})});
  });
}

TEST_P(Checks, RefuseHeadsThatDoNotShareKeyHeadsEvenly) {
  const AttentionKeys keys{i32({1, 5}), i32({2}), i32({2}), i32({2}), 0};
  expect_refused("attention", [&] {
    backend_->run(ops::Attention{.q = f32({2, 3, 4}),
                                 .keys = f32({2, 2, 4}),
                                 .values = f32({2, 2, 4}),
                                 .visible = keys,
                                 .y = f32({2, 3, 4})});
  });
  expect_refused("attention", [&] {
    backend_->run(ops::Attention{.q = f32({2, 4, 4}),
                                 .keys = f32({2, 2, 4}),
                                 .values = f32({2, 2, 6}),
                                 .visible = keys,
                                 .y = f32({2, 4, 4})});
  });
}

INSTANTIATE_TEST_SUITE_P(Backends, Checks, testing::Bool(),
                         [](const auto& backend) { return backend.param ? "meta" : "cpu"; });

}  // namespace
}  // namespace gist::test
