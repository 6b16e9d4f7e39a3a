#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

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
  const std::string message = error_of([&] { backend_->gemm(f32({5, 4}), *w, {}, f32({5, 2})); });
  EXPECT_THAT(message, HasSubstr("gemm: expected x f32 [m, 3]"));
  EXPECT_THAT(message, HasSubstr("found x f32 [5, 4], y f32 [5, 2]"));
}

TEST_P(Checks, RefuseTensorsThatDoNotFit) {
  const Floats values(6);
  const auto w = backend_->pack(host_tensor({2, 3}, values));
  expect_refused("gemm", [&] { backend_->gemm(f32({5, 3}), *w, f32({3}), f32({5, 2})); });
  expect_refused("gemm", [&] { backend_->gemm(f32({5, 3}), *w, {}, f32({4, 2})); });
  expect_refused("pack", [&] { backend_->pack({nullptr, Dtype::i32, {2, 3}}); });
  expect_refused("pack", [&] { backend_->pack({nullptr, Dtype::f32, {6}}); });
  expect_refused("copy", [&] { backend_->copy(f32({4}), f32({5})); });
  expect_refused("copy", [&] { backend_->copy(f32({4}), i32({4})); });
  expect_refused("embedding", [&] { backend_->embedding(f32({4, 3}), i32({2}), f32({2, 4})); });
  expect_refused("embedding", [&] { backend_->embedding(i32({4, 3}), i32({2}), f32({2, 3})); });
  expect_refused("rms_norm", [&] { backend_->rms_norm(f32({2, 3}), f32({2}), 0, f32({2, 3})); });
  expect_refused("rms_norm", [&] { backend_->rms_norm(f32({2, 3}), f32({3}), -1, f32({2, 3})); });
  expect_refused("add", [&] { backend_->add(f32({2}), f32({3}), f32({2})); });
  expect_refused("add", [&] {
    backend_->add(f32({2}), f32({2}), Tensor{nullptr, Dtype::f32, {2}});
  });
  expect_refused("gated_activation", [&] {
    backend_->gated_activation(Activation::silu, f32({2}), f32({3}), f32({2}));
  });
  expect_refused("rotate", [&] {
    backend_->rotate(f32({2, 1, 4}), f32({2, 2, 3}), RopePairs::half, RotateDirection::forward,
                     f32({2, 1, 4}));
  });
  expect_refused("rotate", [&] {
    backend_->rotate(f32({2, 1, 4}), f32({3, 2, 2}), RopePairs::half, RotateDirection::forward,
                     f32({2, 1, 4}));
  });
  expect_refused("rotation", [&] { backend_->rotation(i32({3}), f32({2}), 1, f32({3, 2, 3})); });
  expect_refused("gather_rows", [&] { backend_->gather_rows(f32({4, 2}), i32({3}), f32({3, 3})); });
  expect_refused("scatter_rows", [&] {
    backend_->scatter_rows(f32({4, 2}), i32({3}), f32({9, 2}));
  });
  expect_refused("linear_cross_entropy", [&] {
    backend_->linear_cross_entropy(f32({5, 3}), *w, {}, 1, 0, i32({5}), f32({5}), f32({5}));
  });
  expect_refused("scale_and_cap", [&] { backend_->scale_and_cap(i32({5}), 1, 0); });
  expect_refused("scale_and_cap", [&] { backend_->scale_and_cap(f32({5}), 1, -1); });
  expect_refused("sample", [&] { backend_->sample(f32({5, 3}), {}, f32({4}), i32({5})); });
}

TEST_P(Checks, RefuseGradientsThatDoNotFit) {
  const auto unused = Tensor{nullptr, Dtype::f32, {3}};
  expect_refused("plain", [&] { backend_->plain(f32({6})); });
  expect_refused("plain", [&] { backend_->plain(i32({2, 3})); });
  expect_refused("zero", [&] { backend_->zero(unused); });
  expect_refused("gemm_input_gradient", [&] {
    backend_->gemm_input_gradient(f32({5, 2}), f32({3, 2}), false, f32({5, 3}));
  });
  expect_refused("gemm_input_gradient", [&] {
    backend_->gemm_input_gradient(f32({5, 2}), f32({2, 3}), false, f32({4, 3}));
  });
  expect_refused("gemm_weight_gradient", [&] {
    backend_->gemm_weight_gradient(f32({5, 2}), f32({4, 3}), f32({2, 3}), {});
  });
  expect_refused("gemm_weight_gradient", [&] {
    backend_->gemm_weight_gradient(f32({5, 2}), f32({5, 3}), f32({3, 2}), {});
  });
  expect_refused("gemm_weight_gradient", [&] {
    backend_->gemm_weight_gradient(f32({5, 2}), f32({5, 3}), f32({2, 3}), f32({3}));
  });
  expect_refused("embedding_backward", [&] {
    backend_->embedding_backward(i32({2}), f32({2, 3}), f32({4, 2}));
  });
  expect_refused("embedding_backward", [&] {
    backend_->embedding_backward(i32({3}), f32({2, 3}), f32({4, 3}));
  });
  expect_refused("rms_norm_backward", [&] {
    backend_->rms_norm_backward(f32({2, 3}), f32({3}), 0, f32({2, 3}), f32({2, 3}), f32({2}));
  });
  expect_refused("rms_norm_backward", [&] {
    backend_->rms_norm_backward(f32({2, 3}), f32({3}), 0, f32({3, 2}), f32({2, 3}), f32({3}));
  });
  expect_refused("rms_norm_backward", [&] {
    backend_->rms_norm_backward(f32({2, 3}), f32({3}), -1, f32({2, 3}), f32({2, 3}), f32({3}));
  });
  for (int wrong = 0; wrong < 5; ++wrong) {
    const auto each = [&](int i) { return f32({i == wrong ? 3 : 2}); };
    expect_refused("gated_activation_backward", [&] {
      backend_->gated_activation_backward(Activation::silu, each(0), each(1), each(2), each(3),
                                          each(4));
    });
  }
  for (int wrong = 0; wrong < 4; ++wrong) {
    const auto each = [&](int i) { return f32({i == wrong ? 3 : 2}); };
    expect_refused("adamw",
                   [&] { backend_->adamw({}, each(0), f32({1}), each(1), each(2), each(3)); });
  }
  expect_refused("norm", [&] { backend_->norm(f32({2}), f32({2})); });
  expect_refused("norm", [&] { backend_->norm(i32({2}), f32({1})); });
  expect_refused("adamw",
                 [&] { backend_->adamw({}, f32({2}), f32({2}), f32({2}), f32({2}), f32({2})); });
}

TEST_P(Checks, RefuseOptionsOfAdamwOutOfRange) {
  const auto refused = [&](const std::function<void(AdamwOptions&)>& change) {
    AdamwOptions options;
    change(options);
    expect_refused("adamw", [&] {
      backend_->adamw(options, f32({2}), f32({1}), f32({2}), f32({2}), f32({2}));
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
      backend_->linear_cross_entropy_gradient(f32(c.hidden), f32(c.head), f32({7}), c.spec,
                                              i32(c.labels), f32(c.loss), f32(c.dhidden),
                                              f32(c.dhead), f32(c.dbias));
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
  // In order: log_sum_exp, dy, dq, dkeys and dvalues.
  const Shape right[] = {{2, 4}, {2, 4, 6}, {2, 4, 4}, {2, 2, 4}, {2, 2, 6}};
  for (int wrong = 1; wrong < 5; ++wrong) {
    const auto each = [&](int i) { return f32(i == wrong ? Shape{2, 4, 5} : right[i]); };
    expect_refused("attention_backward", [&] {
      backend_->attention_backward(f32({2, 4, 4}), f32({2, 2, 4}), f32({2, 2, 6}), keys, {},
                                   f32({2, 4, 6}), each(0), each(1), each(2), each(3), each(4), {});
    });
  }
  expect_refused("attention_backward", [&] {
    backend_->attention_backward(f32({2, 4, 4}), f32({2, 2, 4}), f32({2, 2, 6}), keys, {},
                                 f32({2, 4, 6}), {}, f32({2, 4, 6}), f32({2, 4, 4}), f32({2, 2, 4}),
                                 f32({2, 2, 6}), {});
  });
}

TEST_P(Checks, RefuseHeadsThatDoNotShareKeyHeadsEvenly) {
  const AttentionKeys keys{i32({1, 5}), i32({2}), i32({2}), i32({2}), 0};
  expect_refused("attention", [&] {
    backend_->attention(f32({2, 3, 4}), f32({2, 2, 4}), f32({2, 2, 4}), keys, {}, f32({2, 3, 4}),
                        {});
  });
  expect_refused("attention", [&] {
    backend_->attention(f32({2, 4, 4}), f32({2, 2, 4}), f32({2, 2, 6}), keys, {}, f32({2, 4, 4}),
                        {});
  });
}

INSTANTIATE_TEST_SUITE_P(Backends, Checks, testing::Bool(),
                         [](const auto& backend) { return backend.param ? "meta" : "cpu"; });

}  // namespace
}  // namespace gist::test
