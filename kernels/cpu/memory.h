// Host memory that is accounted for: what the backend hands out, packs and keeps as scratch.
#pragma once

#include <cstddef>

#include "kernels/backend.h"
#include "kernels/scratch.h"

namespace gist::cpu {

class MemoryAccount {
 public:
  /// 64-byte aligned. Throws Error(unavailable) with the figures where there is not enough memory.
  void* allocate(std::size_t bytes);
  void release(void* data, std::size_t bytes) noexcept;
  MemoryUse use() const;
  void reset_peak() { peak_ = current_; }

 private:
  std::size_t current_ = 0;
  std::size_t peak_ = 0;
};

using Scratch = GrowingScratch<MemoryAccount>;

}  // namespace gist::cpu
