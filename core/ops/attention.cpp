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

/// The rotation of tokens at `positions`; without data where keys carry no position.
Tensor rotation_of(Pass& pass, const PositionSpec& position, const Tensor& positions) {
  if (position.kind == PositionSpec::Kind::none) return {};
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
  const Tensor key = rotated(pass, of_layer(placed.key, pass.layer()),
                             rotation_of(pass, position, placed.positions), position);
  pass.backend().scatter_rows(key, placed.slots, pass.cache()->keys(pass.layer()));
  pass.backend().scatter_rows(of_layer(placed.value, pass.layer()), placed.slots,
                              pass.cache()->values(pass.layer()));
}

/// What an attention call read and made, for its gradient. Queries and keys are rotated.
struct Attended {
  Tensor q, k, v;  // as the family gave them
  Tensor rotation;
  RopePairs pairs;
  AttentionKeys visible;
  AttentionSpec spec;
  Tensor queries, keys, values, y, log_sum_exp;
};

void backward(const Attended& call, Gradients& gradients) {
  const Tensor dy = gradients.of(call.y);
  if (dy.data == nullptr) return;
  Backend& backend = gradients.backend();
  const Tensor dq = gradients.allocate(call.queries.shape);
  const Tensor dk = gradients.allocate(call.keys.shape);
  const Tensor dv = gradients.allocate(call.values.shape);
  backend.attention_backward(call.queries, call.keys, call.values, call.visible, call.spec, call.y,
                             call.log_sum_exp, dy, dq, dk, dv);
  if (call.rotation.data != nullptr) {
    backend.rotate(dq, call.rotation, call.pairs, RotateDirection::backward, dq);
    backend.rotate(dk, call.rotation, call.pairs, RotateDirection::backward, dk);
  }
  gradients.give(call.q, dq.reshaped(call.q.shape));
  gradients.give(call.k, dk.reshaped(call.k.shape));
  gradients.give(call.v, dv.reshaped(call.v.shape));
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

  const Tensor rotation = rotation_of(pass, position, pass.positions());
  const Tensor rotated_queries = rotated(pass, queries, rotation, position);
  const Tensor rotated_keys = rotated(pass, keys, rotation, position);
  const Tensor y = pass.layer_memory().allocate({n, stack.heads, stack.value_dim});

  if (pass.tape() != nullptr) {
    const Tensor log_sum_exp = pass.layer_memory().allocate({n, stack.heads});
    pass.backend().attention(rotated_queries, rotated_keys, values, pass.keys(), spec, y,
                             log_sum_exp);
    const Attended call{q,
                        k,
                        v,
                        rotation,
                        pairs_of(position),
                        pass.keys(),
                        spec,
                        rotated_queries,
                        rotated_keys,
                        values,
                        y,
                        log_sum_exp};
    pass.tape()->record([call](Gradients& gradients) { backward(call, gradients); });
  } else if (pass.cache() == nullptr) {
    pass.backend().attention(rotated_queries, rotated_keys, values, pass.keys(), spec, y, {});
  } else {
    const Tensor cached_keys = pass.cache()->keys(pass.layer());
    const Tensor cached_values = pass.cache()->values(pass.layer());
    if (pass.placed().slots.shape[0] > 0) place_stored(pass, position);
    pass.backend().scatter_rows(rotated_keys, pass.write_slots(), cached_keys);
    pass.backend().scatter_rows(values, pass.write_slots(), cached_values);
    pass.backend().attention(rotated_queries, cached_keys, cached_values, pass.keys(), spec, y, {});
  }
  return y.reshaped({n, stack.output_width()});
}

}  // namespace gist
