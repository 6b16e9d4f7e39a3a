#include "kernels/check_tensors.h"

namespace gist::checks {
namespace {

/// Where there is a bias. The limit of max_distance keeps tables of distances small.
void relative_bias(const RelativeBias& bias, const AttentionSizes& s) {
  if (bias.table.data == nullptr) return;
  const std::int64_t buckets = bias.table.shape[0];
  if (bias.table.shape.rank != 2 || !is_f32(bias.table, {buckets, s.heads}) ||
      !is_i32(bias.query_positions, {s.queries}) || !is_i32(bias.key_positions, {s.list})) {
    refuse("attention",
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
         "attention: expected at least {} buckets and a max_distance within ({}, 65536]; found {} "
         "and {}",
         bias.bidirectional ? 4 : 2, exact, buckets, bias.max_distance);
  }
}

}  // namespace

AttentionSizes attention(const Tensor& q, const Tensor& keys, const Tensor& values,
                         const AttentionKeys& visible, const AttentionSpec& spec, const Tensor& y,
                         const Tensor& log_sum_exp) {
  AttentionSizes s;
  s.queries = q.shape[0];
  s.heads = q.shape[1];
  s.key_dim = q.shape[2];
  s.slots = keys.shape[0];
  s.kv_heads = keys.shape[1];
  s.value_dim = values.shape[2];
  s.rows = visible.rows.shape[0];
  s.list = visible.slot.shape[0];
  const bool ranks = q.shape.rank == 3 && keys.shape.rank == 3 && values.shape.rank == 3 &&
                     visible.rows.shape.rank == 2 && visible.slot.shape.rank == 1;
  const bool heads = s.kv_heads > 0 && s.heads > 0 && s.heads % s.kv_heads == 0;
  if (!ranks || !heads || s.key_dim < 1 || s.value_dim < 1 || !is_f32(q, q.shape) ||
      !is_f32(keys, {s.slots, s.kv_heads, s.key_dim}) ||
      !is_f32(values, {s.slots, s.kv_heads, s.value_dim}) ||
      !is_f32(y, {s.queries, s.heads, s.value_dim}) ||
      (log_sum_exp.data != nullptr && !is_f32(log_sum_exp, {s.queries, s.heads})) ||
      !is_i32(visible.rows, {s.rows, 5}) || !is_i32(visible.slot, {s.list}) ||
      !is_i32(visible.begin, {s.list}) || !is_i32(visible.end, {s.list})) {
    refuse("attention",
           "q f32 [m, heads, key_dim], keys f32 [slots, kv_heads, key_dim], values f32 [slots, "
           "kv_heads, value_dim], y f32 [m, heads, value_dim], log_sum_exp f32 [m, heads], heads a "
           "multiple of kv_heads, rows i32 [rows, 5] and slot, begin, end i32 [list]",
           {{"q", q},
            {"keys", keys},
            {"values", values},
            {"y", y},
            {"log_sum_exp", log_sum_exp},
            {"rows", visible.rows},
            {"slot", visible.slot},
            {"begin", visible.begin},
            {"end", visible.end}});
  }
  require_finite("attention", "soft_cap", spec.soft_cap, false);
  relative_bias(spec.bias, s);
  require_probability("attention", spec.dropout);
  return s;
}

AttentionSizes attention_backward(const Tensor& q, const Tensor& keys, const Tensor& values,
                                  const AttentionKeys& visible, const AttentionSpec& spec,
                                  const Tensor& y, const Tensor& log_sum_exp, const Tensor& dy,
                                  const Tensor& dq, const Tensor& dkeys, const Tensor& dvalues,
                                  const Tensor& dtable) {
  const AttentionSizes s = attention(q, keys, values, visible, spec, y, log_sum_exp);
  if (!is_f32(log_sum_exp, {s.queries, s.heads}) || !is_f32(dy, y.shape) || !is_f32(dq, q.shape) ||
      !is_f32(dkeys, keys.shape) || !is_f32(dvalues, values.shape) ||
      (dtable.data != nullptr && !is_f32(dtable, spec.bias.table.shape))) {
    refuse("attention_backward",
           "log_sum_exp f32 [m, heads], and dy, dq, dkeys, dvalues f32 with the shapes of y, q, "
           "keys, values, and dtable f32 with that of the bias' table",
           {{"q", q},
            {"keys", keys},
            {"values", values},
            {"y", y},
            {"log_sum_exp", log_sum_exp},
            {"dy", dy},
            {"dq", dq},
            {"dkeys", dkeys},
            {"dvalues", dvalues},
            {"dtable", dtable}});
  }
  return s;
}

}  // namespace gist::checks
