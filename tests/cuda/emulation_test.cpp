// The emulation finds what is wrong with kernels, and says what and where.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>
#include <vector>

#include "kernels/cuda/device.h"
#include "kernels/cuda/fault.h"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/reduce.h"
#include "kernels/cuda/tensor_core.h"
#include "kernels/error.h"

namespace gist::test {
namespace {

using cuda::Bf16;
using cuda::Grid;
using cuda::SharedArray;
using cuda::SharedMemory;
using testing::AllOf;
using testing::HasSubstr;

class Emulation : public testing::Test {
 protected:
  /// Returns the error of a launch of a kernel that is wrong.
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

/// Stores what a fragment's registers hold: `found[lane][i]`, low and high.
__global__ void matrices_kernel(const Bf16* values, bool transposed, unsigned* found) {
  SharedMemory memory;
  const auto rows = memory.take<Bf16>(32 * 8);
  const int lane = static_cast<int>(threadIdx.x);
  for (int i = 0; i < 8; ++i) rows[8 * lane + i] = values[8 * lane + i];
  __syncthreads();
  unsigned r[4];
  if (transposed) {
    load_matrices_transposed(r, rows, 8 * lane);
  } else {
    load_matrices(r, rows, 8 * lane);
  }
  for (int i = 0; i < 4; ++i) found[4 * lane + i] = r[i];
}

TEST_F(Emulation, LoadsMatricesAsTheyStandAndTransposed) {
  std::vector<Bf16> values(4 * 8 * 8);
  for (std::size_t i = 0; i < values.size(); ++i) values[i].bits = static_cast<std::uint16_t>(i);
  std::vector<unsigned> found(128), transposed(128);
  launch(device_, {dim3(1), dim3(32), 512}, matrices_kernel, values.data(), false, found.data());
  launch(device_, {dim3(1), dim3(32), 512}, matrices_kernel, values.data(), true,
         transposed.data());
  for (unsigned lane = 0; lane < 32; ++lane) {
    const unsigned g = lane / 4, t = lane % 4;
    for (unsigned i = 0; i < 4; ++i) {
      const unsigned first = 64 * i + 8 * g + 2 * t, turned = 64 * i + 8 * 2 * t + g;
      EXPECT_EQ(found[4 * lane + i], first | (first + 1) << 16);
      EXPECT_EQ(transposed[4 * lane + i], turned | (turned + 8) << 16);
    }
  }
}

/// c[16, 8] = 1 + a[16, 16] b[16, 8], by way of copies to shared memory.
__global__ void product_kernel(const Bf16* a, const Bf16* b, float* c) {
  SharedMemory memory;
  const auto rows = memory.take<Bf16>(16 * 16), others = memory.take<Bf16>(16 * 8);
  const int lane = static_cast<int>(threadIdx.x), g = lane / 4, t = lane % 4;
  copy_async(rows, 8 * lane, a + 8 * lane, true);
  copy_async(others, 8 * (lane % 16), b + 8 * (lane % 16), true);
  cuda::commit_copies();
  cuda::wait_for_copies<0>();
  __syncthreads();
  unsigned of_a[4], of_b[4];
  load_matrices(of_a, rows, lane % 16 * 16 + lane / 16 * 8);
  load_matrices_transposed(of_b, others, lane % 16 * 8);
  float sums[4] = {1, 1, 1, 1};
  cuda::multiply_add(sums, of_a, of_b[0], of_b[1]);
  for (int i = 0; i < 4; ++i) c[(g + i / 2 * 8) * 8 + 2 * t + i % 2] = sums[i];
}

TEST_F(Emulation, MultipliesMatrices) {
  std::vector<Bf16> a(16 * 16), b(16 * 8);
  std::vector<float> c(16 * 8);
  for (std::size_t i = 0; i < a.size(); ++i) a[i] = cuda::to_bf16(static_cast<float>(i * i % 31));
  for (std::size_t i = 0; i < b.size(); ++i) b[i] = cuda::to_bf16(static_cast<float>(i * 7 % 23));
  launch(device_, {dim3(1), dim3(32), 768}, product_kernel, a.data(), b.data(), c.data());
  for (std::size_t i = 0; i < c.size(); ++i) {
    float sum = 1;
    for (std::size_t k = 0; k < 16; ++k) {
      sum += cuda::to_f32(a[i / 8 * 16 + k]) * cuda::to_f32(b[k * 8 + i % 8]);
    }
    EXPECT_EQ(c[i], sum) << i;
  }
}

/// Two groups, of which the thread waits for all but `pending`.
template <int pending>
__global__ void copy_kernel(const Bf16* values, float* found) {
  SharedMemory memory;
  const auto rows = memory.take<Bf16>(16);
  for (int i = 0; i < 16; ++i) rows[i] = Bf16{0};
  for (int i = 0; i < 2; ++i) {
    copy_async(rows, 8 * i, values, i == 1);
    cuda::commit_copies();
  }
  cuda::wait_for_copies<pending>();
  for (int i = 0; i < 16; ++i) found[i] = cuda::to_f32(rows[i]);
}

TEST_F(Emulation, CopiesArriveWhenTheyAreWaitedFor) {
  alignas(16) Bf16 values[8];
  for (Bf16& value : values) value = cuda::to_bf16(3);
  std::vector<float> found(16, 1);
  const auto reads = [&](auto kernel) {
    return error({dim3(1), dim3(1), 32}, kernel, &values[0], found.data());
  };
  const char* nothing = "reads shared memory that nothing wrote: ";
  EXPECT_THAT(reads(copy_kernel<2>), HasSubstr(std::string(nothing) + "0 of 16"));
  EXPECT_THAT(reads(copy_kernel<1>), HasSubstr(std::string(nothing) + "8 of 16"));
  EXPECT_EQ(reads(copy_kernel<0>), "none");
  for (std::size_t i = 0; i < 16; ++i) EXPECT_EQ(found[i], i < 8 ? 0 : 3);
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
