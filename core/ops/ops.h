// The operations that a family's layers are written in. Each takes tensors of the running pass and
// returns a new one in the layer's memory. Each has a file of its own beside this one.
#pragma once

#include <cstdint>
#include <span>

#include "core/pass.h"

namespace gist {

/// Rows of a table for the pass' token ids: [n, d]. `table` indexes ModelSpec::weights, as all
/// weights here do.
Tensor embedding(Pass& pass, int table);
/// x[n, k] w[m, k]^T (+ bias[m]): [n, m]. bias -1: none.
Tensor linear(Pass& pass, const Tensor& x, int weight, int bias = -1);
/// x / rms(x) * weight.
Tensor rms_norm(Pass& pass, const Tensor& x, int weight, float eps);
Tensor add(Pass& pass, const Tensor& a, const Tensor& b);
/// activation(gate) * up.
Tensor gated_activation(Pass& pass, Activation activation, const Tensor& gate, const Tensor& up);

/// How keys and queries carry their position.
struct PositionSpec {
  enum class Kind : std::uint8_t { none, rope };
  Kind kind = Kind::none;
  std::span<const float>
      inv_freq;  // [rotary_dims / 2]; must stay valid until the operation returns
  float scale = 1;
  int rotary_dims = 0;
  bool interleaved = false;
};

/// Self-attention of a packed batch. q: [n, heads * key_dim], k: [n, kv_heads * key_dim], v: [n,
/// kv_heads * value_dim], all before any rotation. Returns [n, heads * value_dim]. Captures, places
/// stored gists, caches and applies the visibility of the pass: a family knows nothing of these.
Tensor attention(Pass& pass, const Tensor& q, const Tensor& k, const Tensor& v,
                 const PositionSpec& position, const AttentionSpec& spec);

}  // namespace gist
