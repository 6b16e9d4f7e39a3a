// Attention is where everything about gists happens: capture, placement, the cache and visibility.
#include "core/key_value_cache.h"
#include "core/ops/ops.h"
#include "kernels/error.h"

namespace gist {
namespace {

/// x rotated to its tokens' positions, or x itself where keys carry none.
Tensor rotated(Pass& pass, const Tensor& x, const Tensor& positions, const PositionSpec& position,
               const Tensor& inv_freq) {
  if (position.kind == PositionSpec::Kind::none) return x;
  const Tensor y = pass.layer_memory().allocate(x.shape);
  pass.backend().rotate(x, positions,
                        {inv_freq, position.scale, position.rotary_dims, position.interleaved}, y);
  return y;
}

/// Rows [layer] of a [layers, tokens, heads, dim] tensor.
Tensor of_layer(const Tensor& stacked, int layer) {
  return stacked.rows(layer, layer + 1)
      .reshaped({stacked.shape[1], stacked.shape[2], stacked.shape[3]});
}

void capture_rows(Pass& pass, const Tensor& k, const Tensor& v) {
  const Pass::Captured& captured = pass.captured();
  pass.backend().gather_rows(k, captured.tokens, of_layer(captured.key, pass.layer()));
  pass.backend().gather_rows(v, captured.tokens, of_layer(captured.value, pass.layer()));
}

void place_stored(Pass& pass, const PositionSpec& position, const Tensor& inv_freq) {
  const Pass::Placed& placed = pass.placed();
  const Tensor key =
      rotated(pass, of_layer(placed.key, pass.layer()), placed.positions, position, inv_freq);
  pass.backend().scatter_rows(key, placed.slots, pass.cache()->keys(pass.layer()));
  pass.backend().scatter_rows(of_layer(placed.value, pass.layer()), placed.slots,
                              pass.cache()->values(pass.layer()));
}

}  // namespace

Tensor attention(Pass& pass, const Tensor& q, const Tensor& k, const Tensor& v,
                 const PositionSpec& position, const AttentionSpec& spec) {
  const StackSpec& stack = pass.model().spec().stacks[0];
  const std::int64_t n = pass.tokens();
  const Shape q_shape{n, stack.query_width()};
  const Shape k_shape{n, stack.key_width()};
  const Shape v_shape{n, stack.value_width()};
  if (!(q.shape == q_shape) || !(k.shape == k_shape) || !(v.shape == v_shape)) {
    fail(ErrorKind::internal, "attention: q, k, v are {}, {}, {}; the stack declares {}, {}, {}",
         to_string(q.shape), to_string(k.shape), to_string(v.shape), to_string(q_shape),
         to_string(k_shape), to_string(v_shape));
  }
  const Tensor queries = q.reshaped({n, stack.heads, stack.key_dim});
  const Tensor keys = k.reshaped({n, stack.kv_heads, stack.key_dim});
  const Tensor values = v.reshaped({n, stack.kv_heads, stack.value_dim});

  if (pass.captured().tokens.shape[0] > 0) capture_rows(pass, keys, values);

  const Tensor inv_freq = pass.layer_memory().upload(
      {static_cast<std::int64_t>(position.inv_freq.size())}, Dtype::f32, position.inv_freq.data());
  const Tensor rotated_queries = rotated(pass, queries, pass.positions(), position, inv_freq);
  const Tensor rotated_keys = rotated(pass, keys, pass.positions(), position, inv_freq);
  const Tensor y = pass.layer_memory().allocate({n, stack.heads, stack.value_dim});

  if (pass.cache() == nullptr) {
    pass.backend().attention(rotated_queries, rotated_keys, values, pass.keys(), spec, y);
  } else {
    const Tensor cached_keys = pass.cache()->keys(pass.layer());
    const Tensor cached_values = pass.cache()->values(pass.layer());
    if (pass.placed().slots.shape[0] > 0) place_stored(pass, position, inv_freq);
    pass.backend().scatter_rows(rotated_keys, pass.write_slots(), cached_keys);
    pass.backend().scatter_rows(values, pass.write_slots(), cached_values);
    pass.backend().attention(rotated_queries, cached_keys, cached_values, pass.keys(), spec, y);
  }
  return y.reshaped({n, stack.output_width()});
}

}  // namespace gist
