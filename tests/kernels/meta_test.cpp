#include "kernels/meta/meta_backend.h"

#include <gtest/gtest.h>

#include "tests/kernels/device_arrays.h"
#include "tests/kernels/oracle.h"

namespace gist::test {
namespace {

TEST(Meta, CountsProductsExactly) {
  const auto meta = make_meta_backend();
  DeviceArrays arrays(*meta);
  const auto w = meta->pack({nullptr, Dtype::bf16, {7, 5}});
  meta->gemm(arrays.empty({3, 5}), *w, {}, arrays.empty({3, 7}));
  const OpCost& cost = meta->costs().at("gemm");
  EXPECT_EQ(cost.calls, 1);
  EXPECT_EQ(cost.flops, 2 * 3 * 7 * 5);
  EXPECT_EQ(cost.bytes_read, 4 * (3 * 5 + 7 * 5));
  EXPECT_EQ(cost.bytes_written, 4 * 3 * 7);
  meta->gemm(arrays.empty({3, 5}), *w, arrays.empty({7}), arrays.empty({3, 7}));
  EXPECT_EQ(cost.flops, 2 * (2 * 3 * 7 * 5) + 3 * 7);
}

TEST(Meta, CountsAttentionByVisiblePairs) {
  const auto meta = make_meta_backend();
  DeviceArrays arrays(*meta);
  const AttentionKeys visible{arrays.empty(Dtype::i32, {1, 5}), arrays.empty(Dtype::i32, {6}),
                              arrays.empty(Dtype::i32, {6}), arrays.empty(Dtype::i32, {6}), 21};
  meta->attention(arrays.empty({6, 4, 8}), arrays.empty({6, 2, 8}), arrays.empty({6, 2, 16}),
                  visible, {}, arrays.empty({6, 4, 16}));
  EXPECT_EQ(meta->total_flops(), 21 * 4 * (2 * 8 + 2 * 16));
}

TEST(Meta, CountsElementsAndOperations) {
  const auto meta = make_meta_backend();
  DeviceArrays arrays(*meta);
  const Tensor x = arrays.empty({3, 8});
  meta->add(x, x, x);
  EXPECT_EQ(meta->costs().at("add").flops, 24);
  meta->gated_activation(Activation::silu, x, x, x);
  EXPECT_EQ(meta->costs().at("gated_activation").flops, 48);
  meta->rms_norm(x, arrays.empty({8}), 1e-5F, x);
  EXPECT_EQ(meta->costs().at("rms_norm").flops, 96);
  EXPECT_EQ(meta->total_flops(), 24 + 48 + 96);
  meta->reset_costs();
  EXPECT_EQ(meta->total_flops(), 0);
  EXPECT_TRUE(meta->costs().empty());
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
