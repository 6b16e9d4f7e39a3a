#include "core/workspace.h"

#include <gtest/gtest.h>

#include <cstring>

#include "kernels/cpu/cpu_backend.h"
#include "kernels/meta/meta_backend.h"

namespace gist {
namespace {

TEST(Workspace, TensorsAreAlignedAndDontOverlap) {
  const auto backend = make_cpu_backend();
  Workspace memory(*backend);
  const Tensor a = memory.allocate({3});
  const Tensor b = memory.allocate({0, 4});
  const Tensor c = memory.allocate({1 << 20});  // larger than what is left
  const Tensor d = memory.allocate({5}, Dtype::i32);
  const auto address = [](const Tensor& t) { return reinterpret_cast<std::uintptr_t>(t.data); };
  for (const Tensor& tensor : {a, b, c, d}) EXPECT_EQ(address(tensor) % 64, 0U);
  std::memset(a.data, 1, a.bytes());
  std::memset(c.data, 2, c.bytes());
  std::memset(d.data, 3, d.bytes());
  EXPECT_EQ(static_cast<unsigned char*>(a.data)[a.bytes() - 1], 1);
  EXPECT_EQ(static_cast<unsigned char*>(c.data)[c.bytes() - 1], 2);
}

TEST(Workspace, UploadsWhatItIsGiven) {
  const auto backend = make_cpu_backend();
  Workspace memory(*backend);
  const std::int32_t source[] = {4, 5, 6};
  std::int32_t target[3] = {};
  backend->download(memory.upload({3}, Dtype::i32, source), target);
  EXPECT_TRUE(std::equal(source, source + 3, target));
}

TEST(Workspace, EqualPassesAllocateInTheFirstTwoOnly) {
  const auto backend = make_meta_backend();
  Workspace memory(*backend);
  std::size_t settled = 0;
  for (int pass = 0; pass < 10; ++pass) {
    memory.reset();
    if (pass == 1) settled = backend->memory().current;
    for (int i = 0; i < 7; ++i) memory.allocate({1 << 18});
    if (pass > 1) {
      EXPECT_EQ(backend->memory().current, settled) << pass;
    }
  }
  EXPECT_GE(settled, std::size_t{7} << 20);
}

// Decoding: the lists of keys grow by a few bytes a step.
TEST(Workspace, PassesThatGrowALittleRarelyAllocate) {
  const auto backend = make_meta_backend();
  Workspace memory(*backend);
  int changes = 0;
  std::size_t before = 0;
  for (int pass = 0; pass < 1000; ++pass) {
    memory.reset();
    memory.allocate({1 << 19});
    memory.allocate({64 * (pass + 1)});
    if (backend->memory().current != before) ++changes;
    before = backend->memory().current;
  }
  EXPECT_LE(changes, 6);
}

TEST(Workspace, AResetKeepsNoMoreThanTwiceWhatAPassTook) {
  const auto backend = make_meta_backend();
  Workspace memory(*backend);
  for (int i = 0; i < 100; ++i) memory.allocate({1 << 18});
  memory.reset();
  EXPECT_GE(backend->memory().current, std::size_t{100} << 20);
  EXPECT_LE(backend->memory().current, std::size_t{200} << 20);
}

}  // namespace
}  // namespace gist
