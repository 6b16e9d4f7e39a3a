#include "kernels/ops/sample.h"

#include <algorithm>

#include "kernels/ops/check_tensors.h"

namespace gist::ops {

void check(const Sample& op) {
  const std::int64_t m = op.logits.shape[0];
  const std::int64_t vocabulary = op.logits.shape[1];
  if (op.logits.shape.rank != 2 || !is_f32(op.logits, op.logits.shape) ||
      !is_f32(op.uniform, {m}) || !is_i32(op.ids, {m})) {
    refuse(op.name, "logits f32 [m, vocabulary], uniform f32 [m] and ids i32 [m]",
           {{"logits", op.logits}, {"uniform", op.uniform}, {"ids", op.ids}});
  }
  const SamplingOptions& options = op.options;
  if (options.banned_count < 1) {
    fail(ErrorKind::internal, "{}: expected banned_count to be 1 or more; found {}", op.name,
         options.banned_count);
  }
  const std::int64_t banned_end = std::int64_t{options.banned} + options.banned_count;
  const std::int64_t bans =
      options.banned < 0 ? 0 : std::min(banned_end, vocabulary) - std::int64_t{options.banned};
  if (vocabulary - std::max<std::int64_t>(bans, 0) < 1) {
    fail(ErrorKind::internal, "{}: no id is left to choose from {} when {} from {} on are banned",
         op.name, vocabulary, options.banned_count, options.banned);
  }
  require_finite(op.name, "temperature", options.temperature, false);
  require_finite(op.name, "top_p", options.top_p, true);
  if (options.top_k < 0) {
    fail(ErrorKind::internal, "{}: expected top_k to be 0 or more; found {}", op.name,
         options.top_k);
  }
}

OpCost cost(const Sample& op) {
  const std::int64_t softmax = op.options.temperature > 0 ? 3 * op.logits.shape.elements() : 0;
  return one_call(softmax, {&op.logits, &op.uniform}, {&op.ids});
}

}  // namespace gist::ops
