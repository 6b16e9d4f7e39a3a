// Attention is where everything about gists happens: capture, placement, the cache and visibility.
#include "core/key_value_cache.h"
#include "core/ops/ops.h"
#include "core/tape.h"
#include "kernels/error.h"

namespace gist {
namespace {

RopePairs pairs_of(const PositionSpec& position) {
  return position.interleaved ? RopePairs::interleaved : RopePairs::half;
}

/// The rotation of tokens at `positions`; without data where keys aren't rotated.
Tensor rotation_of(Pass& pass, const PositionSpec& position, const Tensor& positions) {
  if (position.kind != PositionSpec::Kind::rope) return {};
  return pass.rotation(position.inv_freq, position.scale, positions);
}

/// x rotated, or x itself where there is no rotation.
Tensor rotated(Pass& pass, const Tensor& x, const Tensor& rotation, const PositionSpec& position) {
  if (rotation.data == nullptr) return x;
  const Tensor y = pass.layer_memory().allocate(x.shape);
  pass.backend().run(ops::Rotate{.x = x,
                                 .rotation = rotation,
                                 .pairs = pairs_of(position),
                                 .direction = RotateDirection::forward,
                                 .y = y});
  return y;
}

/// Rows [layer] of a [layers, tokens, heads, dim] tensor.
Tensor of_layer(const Tensor& stacked, int layer) {
  return stacked.rows(layer, layer + 1)
      .reshaped({stacked.shape[1], stacked.shape[2], stacked.shape[3]});
}

void capture_rows(Pass& pass, const Tensor& k, const Tensor& v) {
  const Pass::Captured& captured = pass.captured();
  pass.backend().run(
      ops::GatherRows{.x = k, .rows = captured.tokens, .y = of_layer(captured.key, pass.layer())});
  pass.backend().run(ops::GatherRows{
      .x = v, .rows = captured.tokens, .y = of_layer(captured.value, pass.layer())});
}

void place_stored(Pass& pass, const PositionSpec& position) {
  const Pass::Placed& placed = pass.placed();
  const KeyValueCache& cache = *pass.self().cache;
  const Tensor key = rotated(pass, of_layer(placed.key, pass.layer()),
                             rotation_of(pass, position, placed.positions), position);
  pass.backend().run(
      ops::ScatterRows{.x = key, .rows = placed.slots, .y = cache.keys(pass.layer())});
  pass.backend().run(ops::ScatterRows{.x = of_layer(placed.value, pass.layer()),
                                      .rows = placed.slots,
                                      .y = cache.values(pass.layer())});
}

/// A call on its way through the backend. Queries and keys are rotated.
struct Call {
  Tensor q, k, v;  // as the family gave them
  Tensor rotation;
  RopePairs pairs = RopePairs::half;
  ops::Attention attention;
  Tensor dtable;  // of the relative bias
};

void backward(const Call& call, Gradients& gradients) {
  const Tensor dy = gradients.of(call.attention.y);
  if (dy.data == nullptr) return;
  Backend& backend = gradients.backend();
  const Tensor dq = gradients.allocate(call.attention.q.shape);
  const Tensor dk = gradients.allocate(call.attention.keys.shape);
  const Tensor dv = gradients.allocate(call.attention.values.shape);
  backend.run(ops::AttentionBackward{.forward = call.attention,
                                     .dy = dy,
                                     .dq = dq,
                                     .dkeys = dk,
                                     .dvalues = dv,
                                     .dtable = call.dtable});
  if (call.rotation.data != nullptr) {
    for (const Tensor& each : {dq, dk}) {
      backend.run(ops::Rotate{.x = each,
                              .rotation = call.rotation,
                              .pairs = call.pairs,
                              .direction = RotateDirection::backward,
                              .y = each});
    }
  }
  gradients.give(call.q, dq.reshaped(call.q.shape));
  gradients.give(call.k, dk.reshaped(call.k.shape));
  gradients.give(call.v, dv.reshaped(call.v.shape));
}

void expect_shapes(const Pass& pass, const Tensor& q, const Tensor& k, const Tensor& v,
                   std::int64_t keys) {
  const StackSpec& stack = pass.stack();
  const Shape q_shape{pass.tokens(), stack.query_width()};
  const Shape k_shape{keys, stack.key_width()};
  const Shape v_shape{keys, stack.value_width()};
  if (q.shape == q_shape && k.shape == k_shape && v.shape == v_shape) return;
  fail(ErrorKind::internal, "attention: q, k, v are {}, {}, {}; the stack declares {}, {}, {}",
       to_string(q.shape), to_string(k.shape), to_string(v.shape), to_string(q_shape),
       to_string(k_shape), to_string(v_shape));
}

/// The relative bias of the call, and where its gradient goes.
void add_bias(Call& call, const Pass& pass, const PositionSpec& position,
              const Pass::Attended& attended) {
  if (position.kind != PositionSpec::Kind::relative_bias) return;
  const Weight& table = pass.model().weight(position.bias_table, pass.layer());
  RelativeBias& bias = call.attention.spec.bias;
  bias.table = table.tensor;
  bias.query_positions = pass.positions();
  bias.key_positions = attended.positions;
  bias.max_distance = position.max_distance;
  bias.bidirectional = pass.stack().kind == StackKind::bidirectional;
  call.dtable = table.gradient;
}

}  // namespace

Tensor attention(Pass& pass, const Tensor& q, const Tensor& k, const Tensor& v,
                 const AttentionOptions& options) {
  const bool cross = options.source == AttentionSource::cross;
  const Pass::Attended& attended =
      cross ? pass.cross() : (options.windowed ? pass.windowed() : pass.self());
  const PositionSpec& position = options.position;
  const StackSpec& stack = pass.stack();
  const std::int64_t n = pass.tokens();
  const std::int64_t n_keys = cross ? pass.cross_rows().shape[0] : n;
  expect_shapes(pass, q, k, v, n_keys);

  const Tensor keys = k.reshaped({n_keys, stack.kv_heads, stack.key_dim});
  const Tensor values = v.reshaped({n_keys, stack.kv_heads, stack.value_dim});
  Call call;
  call.q = q;
  call.k = k;
  call.v = v;
  call.rotation = rotation_of(pass, position, pass.positions());
  call.pairs = pairs_of(position);
  if (!cross && pass.captured().tokens.shape[0] > 0) capture_rows(pass, keys, values);
  ops::Attention& attention = call.attention;
  attention.visible = attended.keys;
  attention.spec.scale = options.scale;
  attention.spec.soft_cap = options.soft_cap;
  attention.spec.dropout = pass.next_dropout(options.dropout);
  add_bias(call, pass, position, attended);
  attention.q = rotated(pass, q.reshaped({n, stack.heads, stack.key_dim}), call.rotation, position);
  attention.keys = rotated(pass, keys, call.rotation, position);
  attention.values = values;
  attention.y = pass.layer_memory().allocate({n, stack.heads, stack.value_dim});

  Backend& backend = pass.backend();
  if (attended.cache != nullptr) {
    const Tensor cached_keys = attended.cache->keys(pass.layer());
    const Tensor cached_values = attended.cache->values(pass.layer());
    if (!cross && pass.placed().slots.shape[0] > 0) place_stored(pass, position);
    const Tensor& slots = attended.write_slots;
    backend.run(ops::ScatterRows{.x = attention.keys, .rows = slots, .y = cached_keys});
    backend.run(ops::ScatterRows{.x = attention.values, .rows = slots, .y = cached_values});
    attention.keys = cached_keys;
    attention.values = cached_values;
  }
  if (pass.tape() != nullptr) {
    attention.log_sum_exp = pass.layer_memory().allocate({n, stack.heads});
  }
  backend.run(attention);
  if (pass.tape() != nullptr) {
    pass.tape()->record([call](Gradients& gradients) { backward(call, gradients); });
  }
  return attention.y.reshaped({n, stack.output_width()});
}

}  // namespace gist
