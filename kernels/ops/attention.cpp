#include "kernels/ops/attention.h"

#include "kernels/ops/check_tensors.h"

namespace gist::ops {
namespace {

/// Where there is a bias. The limit of max_distance keeps tables of distances small.
void check_bias(const char* op, const RelativeBias& bias, const AttentionSizes& s) {
  if (bias.table.data == nullptr) return;
  const std::int64_t buckets = bias.table.shape[0];
  if (bias.table.shape.rank != 2 || !is_f32(bias.table, {buckets, s.heads}) ||
      !is_i32(bias.query_positions, {s.queries}) || !is_i32(bias.key_positions, {s.list})) {
    refuse(op,
           fmt::format("a bias table f32 [buckets, {}], query_positions i32 [{}] and "
                       "key_positions i32 [{}]",
                       s.heads, s.queries, s.list),
           {{"table", bias.table},
            {"query_positions", bias.query_positions},
            {"key_positions", bias.key_positions}});
  }
  const std::int64_t exact = buckets / (bias.bidirectional ? 2 : 1) / 2;
  if (exact < 1 || bias.max_distance <= exact || bias.max_distance > 65536) {
    fail(ErrorKind::internal,
         "{}: expected at least {} buckets and a max_distance within ({}, 65536]; found {} and {}",
         op, bias.bidirectional ? 4 : 2, exact, buckets, bias.max_distance);
  }
}

/// Operations on each score: adding the bias, multiplying for dropout.
std::int64_t biased(const AttentionSpec& spec) {
  return spec.bias.table.data != nullptr ? 1 : 0;
}
std::int64_t dropped(const AttentionSpec& spec) {
  return spec.dropout.probability > 0 ? 1 : 0;
}

/// `cost` with the FLOPs of `of_pair` for each pair.
OpCost by_pairs(OpCost cost, const AttentionKeys& keys, std::int64_t of_pair) {
  cost.flops = keys.visible_pairs * of_pair;
  cost.dense_flops = keys.listed_pairs * of_pair;
  return cost;
}

}  // namespace

AttentionSizes Attention::sizes() const {
  return {.queries = q.shape[0],
          .heads = q.shape[1],
          .kv_heads = keys.shape[1],
          .key_dim = q.shape[2],
          .value_dim = values.shape[2],
          .slots = keys.shape[0],
          .rows = visible.rows.shape[0],
          .list = visible.slot.shape[0]};
}

void check(const Attention& op) {
  const AttentionSizes s = op.sizes();
  const AttentionKeys& visible = op.visible;
  const bool ranks = op.q.shape.rank == 3 && op.keys.shape.rank == 3 && op.values.shape.rank == 3 &&
                     visible.rows.shape.rank == 2 && visible.slot.shape.rank == 1;
  const bool heads = s.kv_heads > 0 && s.heads > 0 && s.heads % s.kv_heads == 0;
  if (!ranks || !heads || s.key_dim < 1 || s.value_dim < 1 || !is_f32(op.q, op.q.shape) ||
      !is_f32(op.keys, {s.slots, s.kv_heads, s.key_dim}) ||
      !is_f32(op.values, {s.slots, s.kv_heads, s.value_dim}) ||
      !is_f32(op.y, {s.queries, s.heads, s.value_dim}) ||
      (op.log_sum_exp.data != nullptr && !is_f32(op.log_sum_exp, {s.queries, s.heads})) ||
      !is_i32(visible.rows, {s.rows, 5}) || !is_i32(visible.slot, {s.list}) ||
      !is_i32(visible.begin, {s.list}) || !is_i32(visible.end, {s.list})) {
    refuse(op.name,
           "q f32 [m, heads, key_dim], keys f32 [slots, kv_heads, key_dim], values f32 [slots, "
           "kv_heads, value_dim], y f32 [m, heads, value_dim], log_sum_exp f32 [m, heads], heads a "
           "multiple of kv_heads, rows i32 [rows, 5] and slot, begin, end i32 [list]",
           {{"q", op.q},
            {"keys", op.keys},
            {"values", op.values},
            {"y", op.y},
            {"log_sum_exp", op.log_sum_exp},
            {"rows", visible.rows},
            {"slot", visible.slot},
            {"begin", visible.begin},
            {"end", visible.end}});
  }
  require_finite(op.name, "soft_cap", op.spec.soft_cap, false);
  check_bias(op.name, op.spec.bias, s);
  require_probability(op.name, op.spec.dropout);
}

void check(const AttentionBackward& op) {
  const Attention& forward = op.forward;
  check(forward);
  const AttentionSizes s = forward.sizes();
  if (!is_f32(forward.log_sum_exp, {s.queries, s.heads}) || !is_f32(op.dy, forward.y.shape) ||
      !is_f32(op.dq, forward.q.shape) || !is_f32(op.dkeys, forward.keys.shape) ||
      !is_f32(op.dvalues, forward.values.shape) ||
      (op.dtable.data != nullptr && !is_f32(op.dtable, forward.spec.bias.table.shape))) {
    refuse(op.name,
           "log_sum_exp f32 [m, heads], and dy, dq, dkeys, dvalues f32 with the shapes of y, q, "
           "keys, values, and dtable f32 with that of the bias' table",
           {{"q", forward.q},
            {"keys", forward.keys},
            {"values", forward.values},
            {"y", forward.y},
            {"log_sum_exp", forward.log_sum_exp},
            {"dy", op.dy},
            {"dq", op.dq},
            {"dkeys", op.dkeys},
            {"dvalues", op.dvalues},
            {"dtable", op.dtable}});
  }
}

OpCost cost(const Attention& op) {
  const AttentionSizes s = op.sizes();
  const AttentionKeys& visible = op.visible;
  const RelativeBias& bias = op.spec.bias;
  const std::int64_t of_pair =
      s.heads * (2 * (s.key_dim + s.value_dim) + biased(op.spec) + dropped(op.spec));
  const std::int64_t listed = s.list * s.kv_heads * (s.key_dim + s.value_dim) * 4;
  return by_pairs(one_call(0,
                           {&op.q, &visible.rows, &visible.slot, &visible.begin, &visible.end,
                            &bias.table, &bias.query_positions, &bias.key_positions},
                           {&op.y, &op.log_sum_exp}, listed),
                  visible, of_pair);
}

OpCost cost(const AttentionBackward& op) {
  const Attention& forward = op.forward;
  const AttentionSizes s = forward.sizes();
  const AttentionKeys& visible = forward.visible;
  const RelativeBias& bias = forward.spec.bias;
  // Scores again, and the gradients of queries and keys; those of probabilities and values.
  const std::int64_t of_pair =
      s.heads *
      (2 * (3 * s.key_dim + 2 * s.value_dim) +
       (op.dtable.data != nullptr ? 2 : 1) * biased(forward.spec) + 2 * dropped(forward.spec));
  return by_pairs(
      one_call(0,
               {&forward.q, &forward.keys, &forward.values, &visible.rows, &visible.slot,
                &visible.begin, &visible.end, &forward.y, &forward.log_sum_exp, &op.dy, &bias.table,
                &bias.query_positions, &bias.key_positions, &op.dtable},
               {&op.dq, &op.dkeys, &op.dvalues, &op.dtable}),
      visible, of_pair);
}

}  // namespace gist::ops
