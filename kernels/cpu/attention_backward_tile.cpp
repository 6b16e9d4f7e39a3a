#include "kernels/cpu/attention_backward_tile.h"

#include <algorithm>

#include "kernels/cpu/workspace_pieces.h"

namespace gist::cpu {
namespace {

/// Rows a multiple of 512 bytes apart would collide in the cache.
constexpr std::int64_t stride_of(std::int64_t width) {
  return width % 128 == 0 ? width + widest_vector : width;
}

BackwardWorkspace lay_out(const ops::AttentionSizes& sizes, std::int64_t bias_places,
                          Pieces& pieces) {
  BackwardWorkspace w{};
  w.key_width = round_up(sizes.key_dim, widest_vector);
  w.key_stride = stride_of(w.key_width);
  w.value_width = round_up(sizes.value_dim, widest_vector);
  w.value_stride = stride_of(w.value_width);
  w.q = pieces.take(tile_columns * w.key_stride);
  w.dy = pieces.take(tile_columns * w.value_stride);
  w.q_panels = pieces.take(tile_columns * w.key_width);
  w.dy_panels = pieces.take(tile_columns * w.value_width);
  w.dq = pieces.take(tile_columns * w.key_stride);
  w.log_sum_exp = pieces.take(tile_columns);
  w.mean = pieces.take(tile_columns);
  w.keys = pieces.take(block_keys * w.key_stride);
  w.values = pieces.take(block_keys * w.value_stride);
  w.dkeys = pieces.take(block_keys * w.key_stride);
  w.dvalues = pieces.take(block_keys * w.value_stride);
  w.weights = pieces.take(block_keys * pair_stride);
  w.dscores = pieces.take(widest_vector + block_keys * pair_stride) + widest_vector;
  w.entry = reinterpret_cast<std::int64_t*>(pieces.take(2 * block_keys));
  w.column_begin = pieces.take_integers(block_keys);
  w.column_end = pieces.take_integers(block_keys);
  w.query_position = pieces.take_integers(tile_columns);
  w.member = pieces.take_integers(tile_columns);
  w.key_position = pieces.take_integers(block_keys);
  w.dbias = pieces.take(bias_places);
  w.index_low = pieces.take_words(tile_columns);
  w.index_high = pieces.take_words(tile_columns);
  w.list_entry = pieces.take_integers(block_keys);
  return w;
}

}  // namespace

std::int64_t group_keys(const BackwardWorkspace& w, std::int64_t n, std::int64_t rows,
                        std::int64_t few_rows, KeyGroup* groups) {
  std::int64_t count = 0;
  for (std::int64_t k = 0; k < n; k += rows) {
    KeyGroup& group = groups[count++];
    group = {k, n - k <= few_rows ? few_rows : rows, tile_columns, 0, 0, tile_columns};
    for (std::int64_t j = k; j < k + group.count; ++j) {
      group.any_begin = std::min<std::int64_t>(group.any_begin, w.column_begin[j]);
      group.any_end = std::max<std::int64_t>(group.any_end, w.column_end[j]);
      group.all_begin = std::max<std::int64_t>(group.all_begin, w.column_begin[j]);
      group.all_end = std::min<std::int64_t>(group.all_end, w.column_end[j]);
    }
  }
  return count;
}

BackwardWorkspace lay_out_backward(const ops::AttentionSizes& sizes, std::int64_t bias_places,
                                   float* memory) {
  Pieces pieces(memory);
  return lay_out(sizes, bias_places, pieces);
}

std::size_t backward_workspace_floats(const ops::AttentionSizes& sizes, std::int64_t bias_places) {
  Pieces pieces(nullptr);
  lay_out(sizes, bias_places, pieces);
  return static_cast<std::size_t>(pieces.used());
}

void add_bias_sums(const double* sums, const ops::AttentionSizes& sizes, std::int64_t buckets,
                   float* dtable) {
  const std::int64_t group = sizes.heads / sizes.kv_heads;
  const std::int64_t item = buckets * group;
  for (std::int64_t i = 0; i < buckets * sizes.heads; ++i) {
    const std::int64_t bucket = i / sizes.heads;
    const std::int64_t head = i % sizes.heads;
    const double* first = sums + head / group * item + bucket * group + head % group;
    double sum = 0;
    for (std::int64_t row = 0; row < sizes.rows; ++row) sum += first[row * sizes.kv_heads * item];
    dtable[i] += static_cast<float>(sum);
  }
}

}  // namespace gist::cpu
