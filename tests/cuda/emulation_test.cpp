// The emulation finds what is wrong with kernels, and says what and where.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>
#include <vector>

#include "kernels/cuda/device.h"
#include "kernels/cuda/fault.h"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/reduce.h"
#include "kernels/error.h"

namespace gist::test {
namespace {

using cuda::Grid;
using cuda::SharedArray;
using cuda::SharedMemory;
using testing::AllOf;
using testing::HasSubstr;

class Emulation : public testing::Test {
 protected:
  /// What the launch of a kernel that is wrong says.
  template <typename... Parameters, typename... Arguments>
  std::string error(const Grid& grid, void (*kernel)(Parameters...), Arguments... arguments) {
    device_.begin("the kernel", {});
    try {
      cuda::launch(device_, grid, kernel, arguments...);
    } catch (const Error& found) {
      return found.what();
    }
    return "none";
  }

  cuda::Device device_{0};
};

__global__ void index_kernel(int* found) {
  const unsigned block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
  const unsigned threads = blockDim.x * blockDim.y * blockDim.z;
  const unsigned thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
  found[block * threads + thread] = static_cast<int>(block * 1000 + thread);
}

TEST_F(Emulation, EachThreadOfEachBlockRunsOnce) {
  std::vector<int> found(12 * 30, -1);
  launch(device_, {dim3(2, 3, 2), dim3(5, 3, 2)}, index_kernel, found.data());
  for (std::size_t i = 0; i < found.size(); ++i) {
    EXPECT_EQ(found[i], static_cast<int>(i / 30 * 1000 + i % 30));
  }
}

__global__ void sum_kernel(const int* values, int* sum) {
  SharedMemory memory;
  const int total = cuda::reduce_block<cuda::Sum>(values[threadIdx.x], memory.take<int>(32));
  sum[threadIdx.x] = total;
}

TEST_F(Emulation, BarriersAndShufflesCarryValuesAcrossABlock) {
  std::vector<int> values(128), sums(128);
  std::iota(values.begin(), values.end(), 1);
  launch(device_, {dim3(1), dim3(128), 128}, sum_kernel, values.data(), sums.data());
  EXPECT_EQ(sums, std::vector<int>(128, 128 * 129 / 2));
}

__global__ void divergent_barrier_kernel() {
  if (threadIdx.x != 3) __syncthreads();
}

TEST_F(Emulation, NamesAThreadThatNeverComesToTheBarrier) {
  EXPECT_THAT(
      error({dim3(1), dim3(32)}, divergent_barrier_kernel),
      AllOf(HasSubstr("the kernel: block (0, 0, 0) is stuck"), HasSubstr("waits for its block at"),
            HasSubstr("emulation_test.cpp"), HasSubstr("thread (3, 0, 0) has ended")));
}

__global__ void two_barriers_kernel() {
  if (threadIdx.x < 16) {
    __syncthreads();
  } else {
    __syncthreads();
  }
}

TEST_F(Emulation, ABarrierIsOnePlaceInTheCode) {
  EXPECT_THAT(error({dim3(1), dim3(32)}, two_barriers_kernel), HasSubstr("is stuck"));
}

__global__ void divergent_shuffle_kernel(int* value) {
  if (threadIdx.x < 31) *value = __shfl_xor_sync(0xFFFFFFFFu, 1, 1);
}

TEST_F(Emulation, NamesTheLanesThatAShuffleWaitsFor) {
  int value = 0;
  EXPECT_THAT(error({dim3(1), dim3(32)}, divergent_shuffle_kernel, &value),
              AllOf(HasSubstr("waits for the lanes ffffffff"), HasSubstr("(31, 0, 0) has ended")));
}

__global__ void wrong_mask_kernel(int* value) {
  *value = __shfl_sync(0x1u, 1, 0);
}

TEST_F(Emulation, ALaneMustBeInItsMask) {
  int value = 0;
  EXPECT_THAT(error({dim3(1), dim3(2)}, wrong_mask_kernel, &value),
              HasSubstr("thread (1, 0, 0) is not in the mask 00000001"));
}

__global__ void unwritten_kernel(float* y) {
  SharedMemory memory;
  const SharedArray<float> tile = memory.take<float>(8);
  if (threadIdx.x != 5) tile[static_cast<int>(threadIdx.x)] = 1;
  __syncthreads();
  y[threadIdx.x] = tile[7 - static_cast<int>(threadIdx.x)];
}

TEST_F(Emulation, FindsReadsOfSharedMemoryThatNothingWrote) {
  std::vector<float> y(8);
  EXPECT_THAT(error({dim3(1), dim3(8), 64}, unwritten_kernel, y.data()),
              HasSubstr("thread (2, 0, 0) reads shared memory that nothing wrote: 5 of 8"));
}

__global__ void out_of_bounds_kernel() {
  SharedMemory memory;
  const SharedArray<float> tile = memory.take<float>(8);
  tile[static_cast<int>(threadIdx.x)] = 1;
}

TEST_F(Emulation, FindsAccessesOutOfASharedArraysBounds) {
  EXPECT_THAT(error({dim3(1), dim3(9), 64}, out_of_bounds_kernel),
              HasSubstr("thread (8, 0, 0) is out of a shared array's bounds: 8 of 8"));
  EXPECT_THAT(error({dim3(1), dim3(8), 16}, out_of_bounds_kernel),
              HasSubstr("takes more shared memory than the launch gave it: 32 of 16"));
}

TEST_F(Emulation, GoesOnAfterABrokenKernel) {
  EXPECT_NE(error({dim3(4), dim3(32)}, divergent_barrier_kernel), "none");
  std::vector<int> values(32, 2), sums(32);
  launch(device_, {dim3(1), dim3(32), 128}, sum_kernel, values.data(), sums.data());
  EXPECT_EQ(sums[31], 64);
}

__global__ void check_kernel(const int* values, cuda::IndexCheck check) {
  check.passes(static_cast<int>(threadIdx.x), values[threadIdx.x]);
}

TEST_F(Emulation, AFaultIsThrownOnceByTheNextSynchronisation) {
  const std::vector<int> values{0, 2, 5, 1};
  launch(device_, {dim3(1), dim3(4)}, check_kernel, values.data(),
         cuda::IndexCheck(device_, "the kernel: expected values", 3));
  try {
    device_.synchronize();
    FAIL() << "expected an error";
  } catch (const Error& found) {
    EXPECT_STREQ(found.what(),
                 "the kernel: expected values within [0, 3); the one with index 2 is 5");
  }
  device_.synchronize();
}

}  // namespace
}  // namespace gist::test
