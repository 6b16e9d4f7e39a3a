#include "kernels/cpu/memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>

#include "kernels/cpu/process_limits.h"
#include "kernels/error.h"

namespace gist::cpu {
namespace {

constexpr std::size_t cache_line = 64;
constexpr std::size_t huge_page = std::size_t{2} << 20;
/// Smaller allocations are not worth reading the limits from files for.
constexpr std::size_t checked_size = std::size_t{1} << 20;

constexpr double mebibytes(std::size_t bytes) {
  return static_cast<double>(bytes) / (1 << 20);
}

}  // namespace

void* MemoryAccount::allocate(std::size_t bytes) {
  if (bytes == 0) return nullptr;
  const std::size_t alignment = bytes >= 16 * huge_page ? huge_page : cache_line;
  const std::size_t padded = (bytes + alignment - 1) / alignment * alignment;
  const bool fits = padded >= bytes && (bytes < checked_size || bytes <= available_memory());
  void* data = fits ? std::aligned_alloc(alignment, padded) : nullptr;
  if (data == nullptr) {
    fail(ErrorKind::unavailable,
         "not enough memory: {:.1f} MiB more are needed, {:.1f} MiB are in use and {:.1f} MiB are "
         "available; use a smaller model or batch, bf16, or a machine with more memory",
         mebibytes(bytes), mebibytes(current_), mebibytes(available_memory()));
  }
  if (alignment == huge_page) madvise(data, padded, MADV_HUGEPAGE);  // a hint: may fail
  current_ += bytes;
  peak_ = std::max(peak_, current_);
  return data;
}

void MemoryAccount::release(void* data, std::size_t bytes) noexcept {
  if (data == nullptr) return;
  std::free(data);  // NOLINT: from aligned_alloc
  current_ -= bytes;
}

MemoryUse MemoryAccount::use() const {
  return {current_, peak_, available_memory()};
}

}  // namespace gist::cpu
