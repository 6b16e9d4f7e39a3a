// CUDA's Replayer: what is replayed, and when work is called again.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>

#include "kernels/cuda/cuda_backend.h"
#include "kernels/cuda/recordings.h"
#include "tests/kernels/device_arrays.h"

namespace gist::test {
namespace {

using testing::Each;
using testing::HasSubstr;
using Key = std::vector<std::uint64_t>;

class Replay : public testing::Test {
 protected:
  std::unique_ptr<Backend> backend_ = make_cuda_backend({.dtype = Dtype::bf16});
  std::unique_ptr<Replayer> replayer_ = backend_->replayer();
  DeviceArrays arrays_{*backend_};
  Tensor x_ = arrays_.filled({4}, 1);
  Tensor sum_ = arrays_.filled({4}, 0);
  int calls_ = 0;

  void replay(const Key& key, const std::function<void()>& work) {
    replayer_->run(key, [&] {
      ++calls_;
      work();
    });
  }
  void add_x(const Key& key = {1}) {
    replay(key, [&] { backend_->run(ops::Add{.a = sum_, .b = x_, .y = sum_}); });
  }
  void set_x(float value) { backend_->upload(x_, std::vector<float>(4, value).data()); }
  /// Returns the error of the second call of work that `does` something.
  std::string second_error(const std::function<void()>& does) {
    const Key key{static_cast<std::uint64_t>(calls_)};
    const auto work = [&] {
      backend_->run(ops::Add{.a = sum_, .b = x_, .y = sum_});
      does();
    };
    replay(key, work);
    try {
      replay(key, work);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::internal);
      return error.what();
    }
    return "none";
  }
};

TEST_F(Replay, EveryCallHasItsEffectOnceThoughOnlyTwoCallTheWork) {
  for (int i = 1; i <= 6; ++i) {
    add_x();
    EXPECT_THAT(arrays_.floats(sum_), Each(static_cast<float>(i)));
    EXPECT_EQ(calls_, std::min(i, 2));
  }
}

TEST_F(Replay, ReadsWhatItsTensorsHoldNow) {
  for (const float value : {1.0F, 10.0F, 100.0F, 1000.0F}) {
    set_x(value);
    add_x();
  }
  EXPECT_THAT(arrays_.floats(sum_), Each(1111.0F));
}

TEST_F(Replay, BringsTheConstantsThatTheWorkUploaded) {
  for (int i = 0; i < 4; ++i) {
    set_x(99);
    replay({1}, [&] {
      const std::vector<float> constant{1, 2, 3, 4};  // gone when the work has been called
      backend_->upload(x_, constant.data());
      backend_->run(ops::Add{.a = sum_, .b = x_, .y = sum_});
    });
  }
  EXPECT_EQ(arrays_.floats(sum_), (std::vector<float>{4, 8, 12, 16}));
}

TEST_F(Replay, CopiesZeroesAndMultipliesAgain) {
  const auto identity =
      backend_->pack(host_tensor({4, 4}, {1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1}));
  const Tensor copied = arrays_.empty({1, 4});
  const Tensor product = arrays_.empty({1, 4});
  for (const float value : {1.0F, 2.0F, 3.0F, 4.0F}) {
    set_x(value);
    replay({1}, [&] {
      backend_->copy(x_, copied.reshaped({4}));
      backend_->run(ops::Zero{.x = x_});
      backend_->run(ops::Gemm{.x = copied, .w = *identity, .y = product});
    });
    EXPECT_THAT(arrays_.floats(product), Each(value));
    EXPECT_THAT(arrays_.floats(x_), Each(0.0F));
  }
}

TEST_F(Replay, KeysAreComparedWhole) {
  const std::vector<Key> keys{{}, {1}, {1, 0}, {0, 1}, {2}};
  for (int i = 0; i < 3; ++i) {
    for (const Key& key : keys) add_x(key);
  }
  EXPECT_EQ(calls_, 2 * 5);
  EXPECT_THAT(arrays_.floats(sum_), Each(15.0F));
}

TEST_F(Replay, ReplayersShareNoKeys) {
  for (int i = 0; i < 3; ++i) add_x();
  replayer_ = backend_->replayer();
  set_x(10);
  for (int i = 0; i < 3; ++i) add_x();
  EXPECT_EQ(calls_, 4);
  EXPECT_THAT(arrays_.floats(sum_), Each(33.0F));
}

TEST_F(Replay, WorkIsCalledAgainWhereScratchMemoryHasMoved) {
  constexpr std::int64_t rows = 1024;
  const auto weight = backend_->pack(host_tensor({1, 4}, {1, 1, 1, 1}));
  const Tensor product = arrays_.empty({1, 1});
  const auto multiply = [&] {  // rounds x in scratch memory
    replay({1}, [&] {
      backend_->run(ops::Gemm{.x = x_.reshaped({1, 4}), .w = *weight, .y = product});
    });
  };
  for (int i = 0; i < 3; ++i) multiply();
  EXPECT_EQ(calls_, 2);
  backend_->run(
      ops::Gemm{.x = arrays_.filled({rows, 4}, 1), .w = *weight, .y = arrays_.empty({rows, 1})});
  set_x(3);
  for (int i = 0; i < 3; ++i) multiply();
  EXPECT_EQ(calls_, 4);
  EXPECT_THAT(arrays_.floats(product), Each(12.0F));
}

TEST_F(Replay, TheRecordingThatWasUsedLongestAgoEndsFirst) {
  for (std::uint64_t key = 0; key < cuda::Recordings::most; ++key) {
    add_x({key});
    add_x({key});
  }
  add_x({0});
  calls_ = 0;
  add_x({cuda::Recordings::most});
  add_x({0});
  EXPECT_EQ(calls_, 1);
  add_x({1});
  EXPECT_EQ(calls_, 2);
}

TEST_F(Replay, NamesWhatRecordedWorkMayNotDo) {
  std::vector<float> values(4);
  EXPECT_THAT(second_error([&] { backend_->download(x_, values.data()); }),
              HasSubstr("add: a download while operations are recorded"));
  EXPECT_THAT(second_error([&] { backend_->synchronize(); }),
              HasSubstr("add: a synchronisation while operations are recorded"));
  EXPECT_THAT(second_error([&] { backend_->allocate(64); }),
              HasSubstr("add: memory is allocated while operations are recorded"));
}

TEST_F(Replay, AnErrorWhileRecordingLeavesNothingBehind) {
  add_x();
  EXPECT_THROW(replay({1},
                      [&] {
                        backend_->run(ops::Add{.a = sum_, .b = x_, .y = sum_});
                        throw std::runtime_error("the work's own");
                      }),
               std::runtime_error);
  EXPECT_THAT(arrays_.floats(sum_), Each(1.0F));
  for (int i = 0; i < 2; ++i) add_x();
  EXPECT_THAT(arrays_.floats(sum_), Each(3.0F));
  EXPECT_EQ(calls_, 3);
}

TEST_F(Replay, AFaultOfAReplayShowsAtTheNextDownload) {
  const Tensor table = arrays_.filled({3, 4}, 1);
  const Tensor ids = arrays_.of({1}, std::vector<std::int32_t>{2});
  const auto look_up = [&] {
    replay({1}, [&] {
      backend_->run(ops::Embedding{.table = table, .ids = ids, .y = x_.reshaped({1, 4})});
    });
  };
  for (int i = 0; i < 3; ++i) look_up();
  backend_->synchronize();
  const std::int32_t wrong = 5;
  backend_->upload(ids, &wrong);
  look_up();
  EXPECT_THROW(arrays_.floats(x_), Error);
  EXPECT_EQ(calls_, 2);
}

}  // namespace
}  // namespace gist::test
