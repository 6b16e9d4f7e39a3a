// This header gives g++ what CUDA C++ adds to C++: with this folder first among the include
// directories, kernels compile as plain functions that the emulation (emulation/block.h) runs, each
// thread of a block on its own fiber. It can show deadlocks, accesses out of bounds and reads of
// shared memory that nothing wrote. It can't show races between warps that a real device would run
// at once, occupancy or speed.
#pragma once

#include <atomic>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <source_location>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __restrict__ __restrict

struct dim3 {
  unsigned x = 1, y = 1, z = 1;
  constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};
struct alignas(8) float2 {
  float x, y;
};
struct alignas(16) float4 {
  float x, y, z, w;
};
inline float2 make_float2(float x, float y) {
  return {x, y};
}
inline float4 make_float4(float x, float y, float z, float w) {
  return {x, y, z, w};
}

namespace gist::emulation {

class Stream;

using Where = std::source_location;

struct Indices {
  dim3 thread, block, block_dim, grid_dim;
};
/// Returns the indices of the thread that runs.
const Indices& indices();

void sync_threads(const Where& where);
/// Waits for the lanes of `mask`, each of which brings 64 bits; the bits of all of them.
const std::uint64_t* exchange(unsigned mask, std::uint64_t bits, const Where& where);
unsigned lane();

template <typename T>
std::uint64_t to_bits(T value) {
  static_assert(sizeof(T) <= sizeof(std::uint64_t));
  std::uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof(T));
  return bits;
}

/// The value of a lane (taken modulo 32), or one's own where that lane is none of the mask's.
template <typename T>
T shuffle(unsigned mask, T value, unsigned from, const Where& where) {
  const std::uint64_t* all = exchange(mask, to_bits(value), where);
  T result = value;
  if (mask >> (from % 32) & 1) std::memcpy(&result, &all[from % 32], sizeof(T));
  return result;
}

}  // namespace gist::emulation

using cudaStream_t = gist::emulation::Stream*;

#define threadIdx (::gist::emulation::indices().thread)
#define blockIdx (::gist::emulation::indices().block)
#define blockDim (::gist::emulation::indices().block_dim)
#define gridDim (::gist::emulation::indices().grid_dim)

// --- barriers, warps ---

inline void __syncthreads(const gist::emulation::Where& where = gist::emulation::Where::current()) {
  gist::emulation::sync_threads(where);
}
inline void __syncwarp(unsigned mask = 0xFFFFFFFFu,
                       const gist::emulation::Where& where = gist::emulation::Where::current()) {
  gist::emulation::exchange(mask, 0, where);
}
template <typename T>
T __shfl_sync(unsigned mask, T value, int from, int width = 32,
              const gist::emulation::Where& where = gist::emulation::Where::current()) {
  const unsigned first = gist::emulation::lane() / static_cast<unsigned>(width) * width;
  return gist::emulation::shuffle(mask, value, first + static_cast<unsigned>(from) % width, where);
}
template <typename T>
T __shfl_xor_sync(unsigned mask, T value, int lanes, int width = 32,
                  const gist::emulation::Where& where = gist::emulation::Where::current()) {
  const unsigned from = gist::emulation::lane() ^ static_cast<unsigned>(lanes);
  const unsigned w = static_cast<unsigned>(width);
  const bool within = from / w <= gist::emulation::lane() / w;
  return gist::emulation::shuffle(mask, value, within ? from : gist::emulation::lane(), where);
}
template <typename T>
T __shfl_up_sync(unsigned mask, T value, unsigned lanes, int width = 32,
                 const gist::emulation::Where& where = gist::emulation::Where::current()) {
  const unsigned own = gist::emulation::lane(), w = static_cast<unsigned>(width);
  return gist::emulation::shuffle(mask, value, own % w >= lanes ? own - lanes : own, where);
}
inline unsigned __ballot_sync(
    unsigned mask, int predicate,
    const gist::emulation::Where& where = gist::emulation::Where::current()) {
  const std::uint64_t* all = gist::emulation::exchange(mask, predicate != 0, where);
  unsigned ballot = 0;
  for (unsigned i = 0; i < 32; ++i) ballot |= (mask >> i & 1) && all[i] != 0 ? 1u << i : 0;
  return ballot;
}
// --- atomics ---

template <typename T>
T atomicAdd(T* address, T value) {
  return std::atomic_ref<T>(*address).fetch_add(value);
}
template <typename T>
T atomicCAS(T* address, T expected, T value) {
  std::atomic_ref<T>(*address).compare_exchange_strong(expected, value);
  return expected;
}
inline void __threadfence_system() {
  std::atomic_thread_fence(std::memory_order_seq_cst);
}

// --- numbers ---

inline unsigned __float_as_uint(float x) {
  return std::bit_cast<unsigned>(x);
}
inline float __uint_as_float(unsigned x) {
  return std::bit_cast<float>(x);
}
inline float __expf(float x) {
  return std::exp(x);
}
inline int __popc(unsigned x) {
  return std::popcount(x);
}
inline int __ffs(int x) {
  return x == 0 ? 0 : std::countr_zero(static_cast<unsigned>(x)) + 1;
}
template <typename T>
T min(T a, T b) {
  return b < a ? b : a;
}
template <typename T>
T max(T a, T b) {
  return a < b ? b : a;
}
