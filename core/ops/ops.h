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
/// Rows of a table for the positions of the pass' tokens: [n, d].
Tensor position_embedding(Pass& pass, int table);
/// x / rms(x) * (weight_offset + weight). A weight of a fraction of x's width norms each such group
/// of columns by itself: that of a head's width, each head.
Tensor rms_norm(Pass& pass, const Tensor& x, int weight, float eps, float weight_offset = 0);
/// (x - mean(x)) / sqrt(variance(x) + eps) * weight + bias; -1: no weight, no bias.
Tensor layer_norm(Pass& pass, const Tensor& x, int weight, int bias, float eps);
/// factor * x.
Tensor scale(Pass& pass, const Tensor& x, float factor);
/// The blocks of x's columns, one beside the other.
Tensor columns(Pass& pass, const Tensor& x, const ColumnBlocks& blocks);
Tensor add(Pass& pass, const Tensor& a, const Tensor& b);
/// activation(gate) * up.
Tensor gated_activation(Pass& pass, Activation activation, const Tensor& gate, const Tensor& up);

/// A mixture of experts: which of them each row x[n, d] goes to, and how much they count.
struct Routing {
  ExpertRouting choice;  // of k experts a row
  Tensor weights;        // [n, k]
};
/// The k experts of each row whose logits[n, experts] are the largest, by softmax(logits), which
/// `normalised` divides by the sum of those chosen.
Routing top_k_routing(Pass& pass, const Tensor& logits, int k, bool normalised);
/// A copy of each row for each of its experts, grouped by expert: [n k, d].
Tensor rows_by_expert(Pass& pass, const Tensor& x, const Routing& routing);
/// x[n k, d] w[e][m, d]^T for the rows of each expert e: [n k, m]. A weight an expert, of one shape.
Tensor expert_linear(Pass& pass, const Tensor& x, const Routing& routing,
                     std::span<const std::int32_t> weights);
/// Every row's k in x[n k, d], each times its expert's weight, added up: [n, d].
Tensor mixed_rows(Pass& pass, const Tensor& x, const Routing& routing);

/// activation(x).
Tensor activation(Pass& pass, Activation activation, const Tensor& x);
/// In a training pass, x with a share of its values zeroed and the others scaled up; else x.
Tensor dropout(Pass& pass, const Tensor& x, float probability);

/// How keys and queries carry their position.
struct PositionSpec {
  enum class Kind : std::uint8_t { none, rope, relative_bias };
  Kind kind = Kind::none;
  // rope
  std::span<const float>
      inv_freq;  // [rotary_dims / 2]; must stay valid until the operation returns
  float scale = 1;
  bool interleaved = false;
  // relative_bias
  int bias_table = -1;  // a table [buckets, heads]
  int max_distance = 0;
};

enum class AttentionSource : std::uint8_t { self, cross };

struct AttentionOptions {
  AttentionSource source = AttentionSource::self;
  PositionSpec position;
  float scale = 1;        // of the scores
  float soft_cap = 0;     // 0: none
  float dropout = 0;      // of the probabilities, in a training pass
  bool windowed = false;  // of the tokens themselves: StackSpec::window limits what they see
};

/// Attention of a packed batch's n tokens to themselves or, with keys and values made of the pass'
/// cross rows, to the encoder's output. q: [n, heads * key_dim], k: [m, kv_heads * key_dim], v: [m,
/// kv_heads * value_dim], all before any rotation; m is n or the number of cross rows. Returns [n,
/// heads * value_dim]. Captures, places stored gists, caches and applies the visibility of the
/// pass: a family knows nothing of these.
Tensor attention(Pass& pass, const Tensor& q, const Tensor& k, const Tensor& v,
                 const AttentionOptions& options);

}  // namespace gist
