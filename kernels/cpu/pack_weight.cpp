#include "kernels/cpu/pack_weight.h"

#include <algorithm>
#include <atomic>
#include <span>

#include "kernels/cpu/parallel.h"
#include "kernels/finite.h"

namespace gist::cpu {
namespace {

/// at = the smaller of the two.
void lower(std::atomic<std::int64_t>& at, std::int64_t to) {
  std::int64_t before = at;
  while (to < before && !at.compare_exchange_weak(before, to)) {
  }
}

struct Layout {
  std::vector<std::int64_t> n;
  std::vector<std::int64_t> k;
};

template <typename Element>
Element element_of(float value) {
  if constexpr (sizeof(Element) == 2) {
    return f32_to_bf16(value);
  } else {
    return value;
  }
}

/// Writes a weight into its packed layout, converting a tile of rows at a time. Throws Error(data)
/// where a value isn't finite.
template <typename Element>
void pack_into(const HostTensor& weight, const Layout& layout, ThreadPool& threads,
               Element* target) {
  constexpr std::int64_t tile_n = 64;
  constexpr std::int64_t tile_k = 256;
  constexpr std::int64_t stride = tile_k + 16;  // not a power of two: tile columns would collide
  const std::int64_t n = weight.shape[0];
  const std::int64_t k = weight.shape[1];
  const auto element_bytes = static_cast<std::int64_t>(size_of(weight.dtype));
  std::atomic<std::int64_t> bad = n * k;  // the first element that isn't finite
  parallel_ranges(
      threads, (n + tile_n - 1) / tile_n, 1, [&](std::int64_t first, std::int64_t last) {
        alignas(64) float tile[tile_n * stride];
        for (std::int64_t n0 = first * tile_n; n0 < std::min(n, last * tile_n); n0 += tile_n) {
          const std::int64_t rows = std::min(tile_n, n - n0);
          for (std::int64_t k0 = 0; k0 < k; k0 += tile_k) {
            const std::int64_t columns = std::min(tile_k, k - k0);
            for (std::int64_t i = 0; i < rows; ++i) {
              const std::int64_t element = (n0 + i) * k + k0;
              convert_to_f32(weight.data + element * element_bytes, weight.dtype, columns,
                             tile + i * stride);
              const auto found =
                  first_not_finite(std::span(tile + i * stride, static_cast<std::size_t>(columns)));
              if (found) lower(bad, element + static_cast<std::int64_t>(*found));
            }
            for (std::int64_t j = 0; j < columns; ++j) {
              Element* column = target + layout.k[static_cast<std::size_t>(k0 + j)];
              const std::int64_t* offset = layout.n.data() + n0;
              for (std::int64_t i = 0; i < rows; ++i) {
                column[offset[i]] = element_of<Element>(tile[i * stride + j]);
              }
            }
          }
        }
      });
  if (bad < n * k) refuse_value(weight, bad);
}

}  // namespace

std::vector<std::int64_t> offsets_of(const dnnl_memory_desc_t& desc, int dim, std::int64_t size) {
  const auto& blocking = desc.format_desc.blocking;
  std::vector<std::int64_t> offsets(static_cast<std::size_t>(size));
  for (std::int64_t i = 0; i < size; ++i) {
    std::int64_t rest = i;
    std::int64_t offset = 0;
    std::int64_t stride = 1;
    for (int b = blocking.inner_nblks - 1; b >= 0; --b) {  // innermost first
      if (blocking.inner_idxs[b] == dim) {
        offset += rest % blocking.inner_blks[b] * stride;
        rest /= blocking.inner_blks[b];
      }
      stride *= blocking.inner_blks[b];
    }
    offsets[static_cast<std::size_t>(i)] = offset + rest * blocking.strides[dim];
  }
  return offsets;
}

std::int64_t block_of(const dnnl_memory_desc_t& desc, int dim) {
  const auto& blocking = desc.format_desc.blocking;
  std::int64_t block = 1;
  for (int b = 0; b < blocking.inner_nblks; ++b) {
    if (blocking.inner_idxs[b] == dim) block *= blocking.inner_blks[b];
  }
  return block;
}

void pack_weight(const HostTensor& weight, const dnnl_memory_desc_t& packed, Dtype dtype,
                 ThreadPool& threads, void* target) {
  const Layout layout{offsets_of(packed, 1, weight.shape[0]),
                      offsets_of(packed, 0, weight.shape[1])};
  if (dtype == Dtype::bf16) {
    pack_into(weight, layout, threads, static_cast<std::uint16_t*>(target));
  } else {
    pack_into(weight, layout, threads, static_cast<float*>(target));
  }
}

}  // namespace gist::cpu
