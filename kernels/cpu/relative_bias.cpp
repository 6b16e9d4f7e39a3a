#include "kernels/cpu/relative_bias.h"

#include <cmath>

#include "kernels/error.h"

namespace gist::cpu {
namespace {

constexpr std::int32_t position_limit = 1 << 30;

void check_positions(std::string_view whose, const Tensor& positions) {
  const auto* values = static_cast<const std::int32_t*>(positions.data);
  for (std::int64_t i = 0; i < positions.shape[0]; ++i) {
    if (values[i] > -position_limit && values[i] < position_limit) continue;
    fail(ErrorKind::internal,
         "attention: expected positions between -2^30 and 2^30; {}_positions[{}] is {}", whose, i,
         values[i]);
  }
}

}  // namespace

std::int32_t relative_bucket(std::int32_t distance, std::int32_t buckets, std::int32_t max_distance,
                             bool bidirectional) {
  std::int32_t first = 0;
  std::int32_t far = std::max(-distance, 0);
  if (bidirectional) {
    buckets /= 2;
    if (distance > 0) first = buckets;
    far = std::abs(distance);
  }
  const std::int32_t exact = buckets / 2;
  if (far < exact) return first + far;
  // In f32, as PyTorch computes it: the bucket that a distance falls into may depend on it.
  const auto scale = static_cast<float>(std::log(static_cast<double>(max_distance) / exact));
  const float part = std::log(static_cast<float>(far) / static_cast<float>(exact)) / scale *
                     static_cast<float>(buckets - exact);
  return first + std::min(exact + static_cast<std::int32_t>(part), buckets - 1);
}

TileBias bias_of_head(const BiasTables& tables, std::int64_t kv_head, std::int64_t group) {
  TileBias bias;
  if (tables.rising_keys == nullptr) return bias;
  const std::int64_t width = tables.distances.count() * group;
  bias.rising_keys = tables.rising_keys + kv_head * width;
  bias.rising_queries = tables.rising_queries + kv_head * width;
  bias.distances = tables.distances;
  bias.group = group;
  return bias;
}

void load_bias_columns(const std::int32_t* positions, std::int64_t first_column,
                       std::int64_t columns, std::int64_t padded, TileBias& bias) {
  const std::int64_t first = first_column / bias.group;
  const std::int64_t last = (first_column + columns - 1) / bias.group;
  bias.consecutive = true;
  for (std::int64_t query = first; query < last; ++query) {
    bias.consecutive = bias.consecutive && positions[query + 1] == positions[query] + 1;
  }
  std::int64_t query = first;
  std::int64_t member = first_column % bias.group;
  for (std::int64_t c = 0; c < padded; ++c) {
    bias.position[c] = positions[query];
    bias.member[c] = static_cast<std::int32_t>(member);
    if (c + 1 < columns && ++member == bias.group) {
      member = 0;
      ++query;
    }
  }
}

BiasTables BiasTableMaker::make(const RelativeBias& bias, const ops::AttentionSizes& sizes) {
  if (bias.table.data == nullptr) return {};
  check_positions("query", bias.query_positions);
  check_positions("key", bias.key_positions);
  BiasTables made;
  made.distances.max_distance = bias.max_distance;
  const std::int64_t count = made.distances.count();
  const auto* table = static_cast<const float*>(bias.table.data);
  const auto buckets = static_cast<std::int32_t>(bias.table.shape[0]);
  const std::int64_t heads = sizes.heads;
  const std::int64_t group = heads / sizes.kv_heads;
  auto* rising_keys =
      tables_.reserve_array<float>(static_cast<std::size_t>(2 * count * heads));  // [heads, count]
  auto* rising_queries = rising_keys + count * heads;  // [kv_heads, count, group]
  buckets_.resize(static_cast<std::size_t>(2 * count));
  std::int32_t* of_key = buckets_.data();
  std::int32_t* of_query = of_key + count;
  for (std::int64_t i = 0; i < count; ++i) {
    const auto distance = static_cast<std::int32_t>(std::clamp<std::int64_t>(
        i - made.distances.origin(), -bias.max_distance, bias.max_distance));
    of_key[i] = relative_bucket(distance, buckets, bias.max_distance, bias.bidirectional);
    of_query[i] = relative_bucket(-distance, buckets, bias.max_distance, bias.bidirectional);
  }
  for (std::int64_t h = 0; h < heads; ++h) {
    float* keys = rising_keys + h * count;
    float* queries = rising_queries + h / group * group * count + h % group;
    for (std::int64_t i = 0; i < count; ++i) {
      keys[i] = table[of_key[i] * heads + h];
      queries[i * group] = table[of_query[i] * heads + h];
    }
  }
  made.rising_keys = rising_keys;
  made.rising_queries = rising_queries;
  made.buckets = of_query;
  made.query_positions = static_cast<const std::int32_t*>(bias.query_positions.data);
  made.key_positions = static_cast<const std::int32_t*>(bias.key_positions.data);
  return made;
}

}  // namespace gist::cpu
