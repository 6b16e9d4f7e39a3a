#include <gmock/gmock.h>
#include <gtest/gtest.h>

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
    backend_->rotate(f32({2, 1, 4}), i32({2}), {f32({3}), 1, 6, false}, f32({2, 1, 4}));
  });
  expect_refused("rotate", [&] {
    backend_->rotate(f32({2, 1, 4}), i32({3}), {f32({2}), 1, 4, false}, f32({2, 1, 4}));
  });
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

TEST_P(Checks, RefuseHeadsThatDoNotShareKeyHeadsEvenly) {
  const AttentionKeys keys{i32({1, 5}), i32({2}), i32({2}), i32({2}), 0};
  expect_refused("attention", [&] {
    backend_->attention(f32({2, 3, 4}), f32({2, 2, 4}), f32({2, 2, 4}), keys, {}, f32({2, 3, 4}));
  });
  expect_refused("attention", [&] {
    backend_->attention(f32({2, 4, 4}), f32({2, 2, 4}), f32({2, 2, 6}), keys, {}, f32({2, 4, 4}));
  });
}

INSTANTIATE_TEST_SUITE_P(Backends, Checks, testing::Bool(),
                         [](const auto& backend) { return backend.param ? "meta" : "cpu"; });

}  // namespace
}  // namespace gist::test
