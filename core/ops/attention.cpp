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
  pass.backend().rotate(x, rotation, pairs_of(position), RotateDirection::forward, y);
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

void place_stored(Pass& pass, const PositionSpec& position) {
  const Pass::Placed& placed = pass.placed();
  const KeyValueCache& cache = *pass.self().cache;
  const Tensor key = rotated(pass, of_layer(placed.key, pass.layer()),
                             rotation_of(pass, position, placed.positions), position);
  pass.backend().scatter_rows(key, placed.slots, cache.keys(pass.layer()));
  pass.backend().scatter_rows(of_layer(placed.value, pass.layer()), placed.slots,
                              cache.values(pass.layer()));
}

/// A call on its way through the backend. Queries and keys are rotated.
struct Call {
  Tensor q, k, v;  // as the family gave them
  Tensor rotation;
  RopePairs pairs = RopePairs::half;
  AttentionKeys visible;
  AttentionSpec spec;
  Tensor queries, keys, values, y, log_sum_exp;
  Tensor dtable;  // of the relative bias
};

void backward(const Call& call, Gradients& gradients) {
  const Tensor dy = gradients.of(call.y);
  if (dy.data == nullptr) return;
  Backend& backend = gradients.backend();
  const Tensor dq = gradients.allocate(call.queries.shape);
  const Tensor dk = gradients.allocate(call.keys.shape);
  const Tensor dv = gradients.allocate(call.values.shape);
  backend.attention_backward(call.queries, call.keys, call.values, call.visible, call.spec, call.y,
                             call.log_sum_exp, dy, dq, dk, dv, call.dtable);
  if (call.rotation.data != nullptr) {
    backend.rotate(dq, call.rotation, call.pairs, RotateDirection::backward, dq);
    backend.rotate(dk, call.rotation, call.pairs, RotateDirection::backward, dk);
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
  const Weight& table = pass.model().weight(position.bias_table, 0);
  call.spec.bias.table = table.tensor;
  call.spec.bias.query_positions = pass.positions();
  call.spec.bias.key_positions = attended.positions;
  call.spec.bias.max_distance = position.max_distance;
  call.spec.bias.bidirectional = pass.stack().kind == StackKind::bidirectional;
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
  Call call;
  call.q = q;
  call.k = k;
  call.v = v;
  call.rotation = rotation_of(pass, position, pass.positions());
  call.pairs = pairs_of(position);
  call.visible = attended.keys;
  call.values = v.reshaped({n_keys, stack.kv_heads, stack.value_dim});
  if (!cross && pass.captured().tokens.shape[0] > 0) capture_rows(pass, keys, call.values);
  call.spec.scale = options.scale;
  call.spec.soft_cap = options.soft_cap;
  call.spec.dropout = pass.next_dropout(options.dropout);
  add_bias(call, pass, position, attended);
  call.queries =
      rotated(pass, q.reshaped({n, stack.heads, stack.key_dim}), call.rotation, position);
  call.keys = rotated(pass, keys, call.rotation, position);
  call.y = pass.layer_memory().allocate({n, stack.heads, stack.value_dim});

  Backend& backend = pass.backend();
  if (attended.cache != nullptr) {
    const Tensor cached_keys = attended.cache->keys(pass.layer());
    const Tensor cached_values = attended.cache->values(pass.layer());
    if (!cross && pass.placed().slots.shape[0] > 0) place_stored(pass, position);
    backend.scatter_rows(call.keys, attended.write_slots, cached_keys);
    backend.scatter_rows(call.values, attended.write_slots, cached_values);
    call.keys = cached_keys;
    call.values = cached_values;
  }
  if (pass.tape() != nullptr) {
    call.log_sum_exp = pass.layer_memory().allocate({n, stack.heads});
  }
  backend.attention(call.queries, call.keys, call.values, call.visible, call.spec, call.y,
                    call.log_sum_exp);
  if (pass.tape() != nullptr) {
    pass.tape()->record([call](Gradients& gradients) { backward(call, gradients); });
  }
  return call.y.reshaped({n, stack.output_width()});
}

}  // namespace gist
