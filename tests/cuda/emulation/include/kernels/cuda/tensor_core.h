// kernels/cuda/tensor_core.h for the emulation: the same functions over what the lanes of a warp
// exchange. Asynchronous copies arrive as late as they may: until the thread waits for them, their
// targets count as not written.
#pragma once

#include <cuda_runtime.h>

#include <array>
#include <cstddef>

#include "kernels/cuda/half.h"
#include "kernels/cuda/shared_memory.h"

namespace gist::emulation {

/// Queues a copy of the thread that runs.
void queue_copy(const SharedCopy& copy);
void commit_copies();
void complete_copies(std::size_t pending);

inline std::uint64_t both(unsigned low, unsigned high) {
  return low | std::uint64_t{high} << 32;
}
/// Returns the i-th of four 16-bit floats.
inline cuda::Bf16 part(std::uint64_t bits, unsigned i) {
  return {static_cast<std::uint16_t>(bits >> 16 * i)};
}
inline unsigned pair(cuda::Bf16 low, cuda::Bf16 high) {
  return low.bits | static_cast<unsigned>(high.bits) << 16;
}

/// Matrices [4][8, 8] of which each lane brings a row.
class LaneRows {
 public:
  LaneRows(cuda::SharedArray<cuda::Bf16> array, int at, const Where& where) {
    const SharedBytes bytes = array.bytes(at, 8);
    for (unsigned half = 0; half < 2; ++half) {
      std::uint64_t own;
      std::memcpy(&own, bytes.data + 8 * half, sizeof own);
      std::memcpy(rows_[half].data(), exchange(0xFFFFFFFFu, own, where), sizeof rows_[half]);
    }
  }
  cuda::Bf16 at(unsigned matrix, unsigned row, unsigned column) const {
    return part(rows_[column / 4][8 * matrix + row], column % 4);
  }

 private:
  std::array<std::array<std::uint64_t, 32>, 2> rows_;
};

}  // namespace gist::emulation

namespace gist::cuda {

inline void multiply_add(float (&c)[4], const unsigned (&a)[4], unsigned b0, unsigned b1,
                         const emulation::Where& where = emulation::Where::current()) {
  using emulation::both, emulation::part;
  std::array<std::array<std::uint64_t, 32>, 3> lanes;  // columns 0 .. 7 of a, 8 .. 15, and b
  const std::array own{both(a[0], a[1]), both(a[2], a[3]), both(b0, b1)};
  for (std::size_t i = 0; i < 3; ++i) {
    std::memcpy(lanes[i].data(), emulation::exchange(0xFFFFFFFFu, own[i], where), sizeof lanes[i]);
  }
  const unsigned g = emulation::lane() / 4, t = emulation::lane() % 4;
  for (unsigned i = 0; i < 4; ++i) {
    const unsigned column = 2 * t + i % 2;
    for (unsigned k = 0; k < 16; ++k) {
      const std::uint64_t of_a = lanes[k / 8][4 * g + k % 8 / 2];
      const std::uint64_t of_b = lanes[2][4 * column + k % 8 / 2];
      c[i] += to_f32(part(of_a, 2 * (i / 2) + k % 2)) * to_f32(part(of_b, 2 * (k / 8) + k % 2));
    }
  }
}

inline void load_matrices(unsigned (&r)[4], SharedArray<Bf16> array, int at,
                          const emulation::Where& where = emulation::Where::current()) {
  const emulation::LaneRows rows(array, at, where);
  const unsigned g = emulation::lane() / 4, t = emulation::lane() % 4;
  for (unsigned i = 0; i < 4; ++i) {
    r[i] = emulation::pair(rows.at(i, g, 2 * t), rows.at(i, g, 2 * t + 1));
  }
}

inline void load_matrices_transposed(unsigned (&r)[4], SharedArray<Bf16> array, int at,
                                     const emulation::Where& where = emulation::Where::current()) {
  const emulation::LaneRows rows(array, at, where);
  const unsigned g = emulation::lane() / 4, t = emulation::lane() % 4;
  for (unsigned i = 0; i < 4; ++i) {
    r[i] = emulation::pair(rows.at(i, 2 * t, g), rows.at(i, 2 * t + 1, g));
  }
}

inline void copy_async(SharedArray<Bf16> target, int at, const Bf16* source, bool present) {
  emulation::SharedCopy copy{target.unwritten_bytes(at, 8), {}};
  if (reinterpret_cast<std::uintptr_t>(source) % 16 != 0) {
    emulation::shared_memory_fault("copies from where is not aligned to 16 bytes", at, at + 8);
  }
  if (present) std::memcpy(copy.values.data(), source, copy.values.size());
  emulation::queue_copy(copy);
}

inline void commit_copies() {
  emulation::commit_copies();
}

template <int pending>
void wait_for_copies() {
  emulation::complete_copies(pending);
}

inline unsigned pack_bf16(float low, float high) {
  return emulation::pair(to_bf16(low), to_bf16(high));
}

}  // namespace gist::cuda
