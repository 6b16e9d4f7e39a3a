// Attention over intervals, forwards, on tensor cores: the tiles of attention.cu, with products of
// bf16 that are summed in f32. Each of a block's four warps has 16 columns, of which it keeps
// scores, weights and sums in registers: a product's sums are laid out as the next one reads them.
// Keys and values are copied while the product of the others is computed.
//
// The FLOPs are those of attention.cu, at the rate of tensor cores in bf16, and the bytes of keys
// and values half of what they are there; before that, attention_staging.h reads 4 bytes an element
// of q, keys and values and writes 2. Beside its 2 (key_dim + value_dim) FLOPs an element of the
// scores costs about ten instructions, a third of them where columns and keys of a tile hide from
// each other: with dims of 64 and less these may bound the time.
#include "kernels/cuda/attention_bf16.h"

#include "kernels/cuda/attention_fragments.h"
#include "kernels/cuda/attention_scores.h"
#include "kernels/cuda/attention_softmax.h"
#include "kernels/cuda/attention_tile.h"

namespace gist::cuda {
namespace {

template <int dim>
constexpr std::size_t shared_of_tile(bool dropout) {
  using Tile = ForwardTile<dim>;
  return shared_bytes<Bf16>(Tile::columns * bf16_stride(dim)) +
         2 * shared_bytes<Bf16>(Tile::keys * bf16_stride(dim)) +
         shared_of_scores(Tile::columns, Tile::keys, dropout);
}
static_assert(shared_of_tile<widest_head>(true) <= 99 << 10, "the least that a block may ask for");

/// Products of a warp's columns and a tile's keys become scores, -infinity where they do not see
/// each other. Most tiles need no bias, no cap and no mask.
template <int N>
__device__ void score_products(const AttentionInputs& in, const FragmentThread& at,
                               const TileColumns& column, const TileKeys& key,
                               const float (&products)[N][4], float (&scores)[2][2 * N]) {
  const auto fill = [&](auto score) {
    unrolled<4 * N>([&](auto pair) {
      constexpr int i = decltype(pair)::value % 2, j = decltype(pair)::value / 2;
      scores[i][j] = score(products[j / 2][2 * i + j % 2], i, at.column(j));
    });
  };
  const int index[2] = {column.index[at.row(0)], column.index[at.row(1)]};
  const auto visible = [&](int i, int k) {
    return key.begin[k] <= index[i] && index[i] < key.end[k];
  };
  if (in.bias.bias != nullptr || in.soft_cap > 0) {
    fill([&](float product, int i, int k) {
      const float score = score_of(in, product, column, at.row(i), key, k).value;
      return visible(i, k) ? score : -INFINITY;
    });
  } else if (!all_visible(key, 8 * N, column.index[at.first_row],
                          column.index[at.first_row + fragment_rows - 1])) {
    fill([&](float product, int i, int k) {
      return visible(i, k) ? product * in.scale : -INFINITY;
    });
  } else {
    fill([&](float product, int, int) { return product * in.scale; });
  }
}

template <int dim>
__global__ void __launch_bounds__(tile_threads)
    attention_kernel(AttentionInputs in, StagedInputs staged, AttentionPlan plan, float* y,
                     float* log_sum_exp) {
  using Tile = ForwardTile<dim>;
  constexpr int R = 2, C = Tile::keys / fragment_lanes;
  if (static_cast<int>(blockIdx.x) >= plan.counts->query_tiles) return;
  const QueryTile tile = plan.query_tiles[blockIdx.x];
  const AttentionRow row = plan.rows[tile.row];
  const int kv_head = static_cast<int>(blockIdx.y);
  const int columns = (row.query_end - row.query_begin) * in.group - tile.first_column;
  const bool drops = in.dropout.on();

  SharedMemory memory;
  const auto q = memory.take<Bf16>(Tile::columns * bf16_stride(dim));
  const auto keys = memory.take<Bf16>(Tile::keys * bf16_stride(dim));
  const auto values = memory.take<Bf16>(Tile::keys * bf16_stride(dim));
  const TileColumns column = take_columns(memory, Tile::columns);
  const TileKeys key = take_keys(memory, Tile::keys);
  const auto kept = memory.take<int>(drops ? draw_words(Tile::columns, Tile::keys) : 0);

  load_columns(in, row, in.group, kv_head * in.group, tile.first_column, Tile::columns, column);
  __syncthreads();
  copy_rows<Tile::columns, dim>(q, Tile::columns, [&](int c) {
    return staged.q + in.place(column.query[c], column.head[c]) * dim;
  });
  commit_copies();
  const int first_index = column.index[0], last_index = column.index[Tile::columns - 1];
  const FragmentThread at;

  const int tiles = parts_of(row.key_end - row.key_begin, Tile::keys);
  const auto next = [&](int t) {
    return next_visible_tile<Tile::keys>(plan, row, t, first_index, last_index);
  };
  const auto copy = [&](const Bf16* from, int t, const SharedArray<Bf16>& to) {
    const int first = row.key_begin + t * Tile::keys;
    copy_rows<Tile::keys, dim>(to, row.key_end - first, [&](int k) {
      return from + (std::int64_t{first + k} * in.kv_heads + kv_head) * dim;
    });
    commit_copies();
  };
  const auto begin = [&](int t) {
    if (t >= tiles) return;
    copy(staged.keys, t, keys);
    const int first = row.key_begin + t * Tile::keys;
    load_keys(in, first, row.key_end, Tile::keys, key);
    if (drops) draw_tile<Tile::columns, Tile::keys>(in, column, first, kept);
  };

  Softmax<R> softmax;
  float sums[dim / 8][4];
  unrolled<dim / 2>([&](auto i) { sums[i / 4][i % 4] = 0; });
  int t = next(0);
  begin(t);
  while (t < tiles) {
    const int first = row.key_begin + t * Tile::keys;
    wait_for_copies<0>();
    __syncthreads();  // the keys are there, and the values before have been read
    copy(staged.values, t, values);
    float products[Tile::keys / 8][4];
    multiply_rows<dim>(at, q, keys, products);
    float scores[R][C];
    score_products(in, at, column, key, products, scores);
    float factors[R];
    exponentiate<fragment_lanes>(scores, softmax, factors, [](float x) { return __expf(x); });
    unrolled<dim / 2>([&](auto i) { sums[i / 4][i % 4] *= factors[i % 4 / 2]; });
    if (drops) {
      unrolled<R * C>([&](auto pair) {
        constexpr int i = decltype(pair)::value / C, j = decltype(pair)::value % C;
        scores[i][j] *= dropout_factor<Tile::keys>(in, kept, at.row(i), first, at.column(j));
      });
    }
    unsigned weights[Tile::keys / 16][4];
    pack_rows(scores, weights);
    wait_for_copies<0>();
    __syncthreads();  // the values are there, and the keys have been read
    t = next(t + 1);
    begin(t);
    add_products<dim>(at, weights, values, sums);
  }
  wait_for_copies<0>();  // no copy may be under way when a block ends
  unrolled<R>([&](auto i) {
    const SoftmaxEnd end = end_of<fragment_lanes>(softmax, i);
    const int c = at.row(i);
    if (c >= columns) return;
    const std::int64_t place = in.place(column.query[c], column.head[c]);
    unrolled<dim / 4>([&](auto d) {
      const int to = at.column(d);
      const float sum = sums[d / 2][2 * i + d % 2] * end.factor;
      if (to < in.value_dim) y[place * in.value_dim + to] = sum;
    });
    if (log_sum_exp != nullptr && at.lane % fragment_lanes == 0) {
      log_sum_exp[place] = end.log_sum_exp;
    }
  });
}

}  // namespace

void attend_tiles_in_bf16(Device& device, const AttentionInputs& in, const StagedInputs& staged,
                          const AttentionPlan& plan, int tiles, float* y, float* log_sum_exp) {
  with_head_dim(in, [&](auto dim) {
    launch(device,
           {dim3(static_cast<unsigned>(tiles), static_cast<unsigned>(in.kv_heads)),
            dim3(tile_threads), shared_of_tile<dim>(in.dropout.on())},
           attention_kernel<dim>, in, staged, plan, y, log_sum_exp);
  });
}

}  // namespace gist::cuda
