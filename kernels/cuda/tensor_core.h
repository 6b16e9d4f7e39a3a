// The instructions of tensor cores in bf16 and what feeds them (compute capability 8.0): one
// function an instruction. Fragments are spread over the lanes of a warp as in the PTX ISA, "Matrix
// Fragments for mma.m16n8k16": with g = lane / 4 and t = lane % 4, pairs (low, high) hold
//
//   a [16, 16]  a[0]: row g,      columns 2 t, + 1    a[2]: row g,      columns 2 t + 8, + 9
//               a[1]: row g + 8,  columns 2 t, + 1    a[3]: row g + 8,  columns 2 t + 8, + 9
//   b [16, 8]   b0: rows 2 t, + 1 of column g         b1: rows 2 t + 8, + 9 of column g
//   c [16, 8]   c[0], c[1]: row g, columns 2 t, + 1   c[2], c[3]: row g + 8, columns 2 t, + 1
//
// The emulation of the tests has another header of this name.
#pragma once

#include <cuda_runtime.h>

#include "kernels/cuda/half.h"
#include "kernels/cuda/shared_memory.h"

namespace gist::cuda {

/// c += a b
__device__ inline void multiply_add(float (&c)[4], const unsigned (&a)[4], unsigned b0,
                                    unsigned b1) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

__device__ inline unsigned shared_address(SharedArray<Bf16> array, int at) {
  return static_cast<unsigned>(__cvta_generic_to_shared(&array[at]));
}

/// Four matrices [8, 8], of which the lanes 8 i .. 8 i + 7 name the rows of the i-th: a row's 8
/// elements start at `at`, a multiple of 16 bytes. r[i]: row g, columns 2 t, + 1 of the i-th.
__device__ inline void load_matrices(unsigned (&r)[4], SharedArray<Bf16> array, int at) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(array, at))
               : "memory");
}

/// r[i]: rows 2 t, + 1 of column g of the i-th.
__device__ inline void load_matrices_transposed(unsigned (&r)[4], SharedArray<Bf16> array, int at) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(array, at))
               : "memory");
}

/// target[at, at + 8) = source[0, 8) once the thread has waited for it, or zeros where not
/// `present`: then nothing is read. Both are aligned to 16 bytes.
__device__ inline void copy_async(SharedArray<Bf16> target, int at, const Bf16* source,
                                  bool present) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;"
               :
               : "r"(shared_address(target, at)), "l"(__cvta_generic_to_global(source)),
                 "r"(present ? 16 : 0)
               : "memory");
}

/// The thread's copies since the last call are a group.
__device__ inline void commit_copies() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}

/// Until at most the thread's last `pending` groups are under way. Other threads see the copies
/// after a barrier that follows.
template <int pending>
__device__ void wait_for_copies() {
  asm volatile("cp.async.wait_group %0;" : : "n"(pending) : "memory");
}

/// Rounded to nearest, ties to even.
__device__ inline unsigned pack_bf16(float low, float high) {
  unsigned pair;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
  return pair;
}

}  // namespace gist::cuda
