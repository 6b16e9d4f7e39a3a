#include <gtest/gtest.h>

#include "kernels/meta/meta_backend.h"
#include "tests/kernels/device_arrays.h"
#include "tests/kernels/oracle.h"

namespace gist::test {
namespace {

TEST(Memory, IsAlignedAndCounted) {
  const auto backend = make_cpu_backend();
  const std::size_t before = backend->memory().current;
  {
    const Buffer a = backend->allocate(1000);
    const Buffer b = backend->allocate(std::size_t{40} << 20);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(a.data()) % 64, 0);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(b.data()) % 64, 0);
    EXPECT_EQ(backend->memory().current, before + a.bytes() + b.bytes());
  }
  EXPECT_EQ(backend->memory().current, before);
  EXPECT_EQ(backend->memory().peak, before + 1000 + (std::size_t{40} << 20));
}

TEST(Memory, PeakStartsAgainFromWhatIsAllocated) {
  const auto cpu = make_cpu_backend();
  const auto meta = make_meta_backend();
  for (Backend* backend : {static_cast<Backend*>(cpu.get()), static_cast<Backend*>(meta.get())}) {
    const Buffer kept = backend->allocate(64);
    { const Buffer gone = backend->allocate(1000); }
    EXPECT_EQ(backend->memory().peak, 1064) << backend->name();
    backend->reset_peak();
    EXPECT_EQ(backend->memory().peak, 64) << backend->name();
  }
}

TEST(Memory, MovesWithItsBuffer) {
  const auto backend = make_cpu_backend();
  Buffer a = backend->allocate(64);
  void* const data = a.data();
  Buffer b = std::move(a);
  EXPECT_EQ(b.data(), data);
  EXPECT_EQ(backend->memory().current, 64);
  b = Buffer();
  EXPECT_EQ(backend->memory().current, 0);
}

TEST(Memory, ThatIsNotThereIsRefusedWithFigures) {
  const auto backend = make_cpu_backend();
  const std::size_t available = backend->memory().available;
  EXPECT_GT(available, std::size_t{1} << 20);
  for (const std::size_t bytes : {2 * available, std::size_t{1} << 62, ~std::size_t{0}}) {
    try {
      const Buffer buffer = backend->allocate(bytes);
      FAIL() << bytes << " bytes were allocated";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::unavailable);
      EXPECT_NE(std::string(error.what()).find("MiB are available"), std::string::npos);
    }
  }
  EXPECT_EQ(backend->memory().current, 0);
}

TEST(Memory, IsFilledFromSomewhereWhereItIsComputedWith) {
  const auto cpu = make_cpu_backend();
  const auto meta = make_meta_backend();
  DeviceArrays real(*cpu), shapes(*meta);
  EXPECT_THROW(cpu->upload(real.empty({4}), nullptr), Error);
  EXPECT_NO_THROW(cpu->upload(real.empty({0}), nullptr));
  EXPECT_NO_THROW(meta->upload(shapes.empty({4}), nullptr));
}

TEST(Memory, CopiesAreExact) {
  const auto backend = make_cpu_backend();
  DeviceArrays arrays(*backend);
  const Tensor a = arrays.of({2, 2}, Floats{1, 2, 3, 4});
  const Tensor b = arrays.empty({4});
  backend->copy(a, b);
  backend->synchronize();
  EXPECT_EQ(arrays.floats(b), (Floats{1, 2, 3, 4}));
}

/// All operations of a decoding step.
void step(Backend& backend, DeviceArrays& arrays, const Matrix& w, std::int64_t m) {
  static constexpr std::int64_t d = 64;
  const Tensor x = arrays.of({m, d}, Floats(static_cast<std::size_t>(m * d), 0.5F));
  const Tensor weight = arrays.of({d}, Floats(d, 1.0F));
  const Tensor y = arrays.empty({m, d});
  backend.run(ops::RmsNorm{.x = x, .weight = weight, .eps = 1e-5F, .y = y});
  backend.run(ops::Gemm{.x = y, .w = w, .bias = weight, .y = x});
  const Tensor inv_freq = arrays.of({4}, Floats{1, 0.1F, 0.01F, 0.001F});
  const Tensor rotation = arrays.empty({m, 2, 4});
  const Tensor positions = arrays.of({m}, Integers(static_cast<std::size_t>(m), 3));
  const Tensor heads = x.reshaped({m, 8, 8});
  backend.run(ops::Rotation{.positions = positions, .inv_freq = inv_freq, .rotation = rotation});
  backend.run(ops::Rotate{.x = heads,
                          .rotation = rotation,
                          .pairs = RopePairs::half,
                          .direction = RotateDirection::forward,
                          .y = heads});
  Integers rows;
  Integers slots;
  for (std::int32_t i = 0; i < m; ++i) {
    rows.insert(rows.end(), {i, i + 1, 0, i * 600, (i + 1) * 600});
    for (int j = 0; j < 600; ++j) slots.push_back(j % static_cast<std::int32_t>(m));
  }
  const std::int64_t list = m * 600;
  const AttentionKeys keys{arrays.of({m, 5}, rows), arrays.of({list}, slots),
                           arrays.of({list}, Integers(static_cast<std::size_t>(list), 0)),
                           arrays.of({list}, Integers(static_cast<std::size_t>(list), 9)), list};
  backend.run(ops::Attention{
      .q = heads, .keys = heads, .values = heads, .visible = keys, .y = y.reshaped({m, 8, 8})});
  const Tensor loss = arrays.empty({m});
  const Tensor ids = arrays.empty(Dtype::i32, {m});
  backend.run(ops::LinearCrossEntropy{
      .hidden = y, .head = w, .labels = positions, .loss = loss, .best = ids});
  backend.run(ops::Sample{
      .logits = y, .options = {.temperature = 1, .top_p = 0.9F}, .uniform = loss, .ids = ids});
}

TEST(Memory, DoesNotGrowFromStepToStep) {
  for (const Dtype dtype : {Dtype::f32, Dtype::bf16}) {
    const auto backend = backend_under_test(dtype);
    if (backend == nullptr) GTEST_SKIP() << "this processor can't multiply in bf16";
    Random random(1);
    const Floats values = random.floats(64 * 64, 0.1F);
    const auto w = backend->pack(host_tensor({64, 64}, values));
    const auto memory_after_step = [&](std::int64_t m) {
      {
        DeviceArrays arrays(*backend);
        step(*backend, arrays, *w, m);
      }
      return backend->memory().current;
    };
    const std::size_t first = memory_after_step(9);
    for (const std::int64_t m : {9, 1, 4, 9}) EXPECT_EQ(memory_after_step(m), first);
  }
}

}  // namespace
}  // namespace gist::test
