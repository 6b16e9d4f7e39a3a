#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "kernels/cpu/operations.h"
#include "kernels/cpu/parallel.h"

namespace gist::cpu {
namespace {

/// NaN is above all, so that it is chosen and reaches the weights.
float rank_of(float logit) {
  return std::isnan(logit) ? std::numeric_limits<float>::infinity() : logit;
}

/// The k experts of largest logits, in `chosen`; `order` has room for all.
void choose(const float* logits, std::int64_t experts, std::int64_t k, std::int32_t* order,
            std::int32_t* chosen) {
  std::iota(order, order + experts, 0);
  std::partial_sort(order, order + k, order + experts, [&](std::int32_t a, std::int32_t b) {
    const float left = rank_of(logits[a]), right = rank_of(logits[b]);
    return left > right || (left == right && a < b);
  });
  std::copy_n(order, k, chosen);
}

void weigh(const float* logits, std::int64_t experts, std::int64_t k, bool normalised,
           const std::int32_t* chosen, float* weights) {
  const float peak = logits[chosen[0]];
  float total = 0;
  for (std::int64_t j = 0; j < k; ++j) {
    weights[j] = std::exp(logits[chosen[j]] - peak);
    if (normalised) total += weights[j];
  }
  for (std::int64_t e = 0; e < experts && !normalised; ++e) total += std::exp(logits[e] - peak);
  for (std::int64_t j = 0; j < k; ++j) weights[j] /= total;
}

/// Groups the rows' copies by expert.
void group(const ExpertRouting& routing) {
  const std::int64_t n = routing.experts.shape[0], k = routing.experts.shape[1];
  const auto* chosen = static_cast<const std::int32_t*>(routing.experts.data);
  auto* places = static_cast<std::int32_t*>(routing.places.data);
  auto* rows = static_cast<std::int32_t*>(routing.rows.data);
  auto* ends = static_cast<std::int32_t*>(routing.ends.data);
  const std::int64_t experts = routing.ends.shape[0];
  std::fill_n(ends, experts, 0);
  for (std::int64_t i = 0; i < n * k; ++i) ++ends[chosen[i]];
  std::exclusive_scan(ends, ends + experts, ends, 0);  // where they begin, until they are filled
  for (std::int64_t i = 0; i < n * k; ++i) {
    places[i] = ends[chosen[i]]++;
    rows[places[i]] = static_cast<std::int32_t>(i / k);
  }
}

}  // namespace

void compute(const ops::ChooseExperts& op, Context& context) {
  const std::int64_t n = op.logits.shape[0], experts = op.logits.shape[1];
  const std::int64_t k = op.weights.shape[1];
  const auto* logits = static_cast<const float*>(op.logits.data);
  auto* chosen = static_cast<std::int32_t*>(op.routing.experts.data);
  auto* weights = static_cast<float*>(op.weights.data);
  auto* orders = context.scratch.reserve_array<std::int32_t>(static_cast<std::size_t>(n * experts));
  parallel_ranges(context.threads, n, 2048 / (experts + 1) + 1,
                  [&](std::int64_t begin, std::int64_t end) {
                    for (std::int64_t i = begin; i < end; ++i) {
                      const float* row = logits + i * experts;
                      choose(row, experts, k, orders + i * experts, chosen + i * k);
                      weigh(row, experts, k, op.normalised, chosen + i * k, weights + i * k);
                    }
                  });
  group(op.routing);
}

/// Of p_j = exp(logit_j) / (the sum over those that share in it), dlogit_e = p_e (dp_e - sum_j p_j
/// dp_j). Those are the chosen or all; of all, p_e follows from the first chosen's.
void compute(const ops::ChooseExpertsBackward& op, Context& context) {
  require_within(op.name, "experts", op.experts, op.logits.shape[1]);
  const std::int64_t n = op.logits.shape[0], experts = op.logits.shape[1];
  const std::int64_t k = op.weights.shape[1];
  const auto* logits = static_cast<const float*>(op.logits.data);
  const auto* chosen = static_cast<const std::int32_t*>(op.experts.data);
  const auto* weights = static_cast<const float*>(op.weights.data);
  const auto* dweights = static_cast<const float*>(op.dweights.data);
  auto* dlogits = static_cast<float*>(op.dlogits.data);
  const auto row = [&](std::int64_t i) {
    const std::int32_t* own = chosen + i * k;
    const float* p = weights + i * k;
    const float* dp = dweights + i * k;
    const float* logit = logits + i * experts;
    float* dlogit = dlogits + i * experts;
    const float mean = std::inner_product(p, p + k, dp, 0.0F);
    for (std::int64_t e = 0; e < experts; ++e) {
      dlogit[e] = op.normalised ? 0 : -mean * p[0] * std::exp(logit[e] - logit[own[0]]);
    }
    for (std::int64_t j = 0; j < k; ++j) dlogit[own[j]] = p[j] * (dp[j] - mean);
  };
  parallel_ranges(context.threads, n, 4096 / (experts + 1) + 1,
                  [&](std::int64_t begin, std::int64_t end) {
                    for (std::int64_t i = begin; i < end; ++i) row(i);
                  });
}

}  // namespace gist::cpu
