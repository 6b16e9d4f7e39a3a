#include "core/baseline.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <span>
#include <vector>

#include "core/random.h"

namespace gist {
namespace {

constexpr std::array<std::string_view, 3> names = {"cut", "pooled", "random"};

/// The tokens of each row of the result, of which it is the mean.
using Rows = std::vector<std::vector<std::int32_t>>;

/// [rows, width] of values[tokens, width].
std::vector<float> means(const std::vector<float>& values, std::int32_t tokens, const Rows& rows) {
  const std::size_t width = values.size() / static_cast<std::size_t>(tokens);
  std::vector<float> result;
  result.reserve(rows.size() * width);
  for (const std::vector<std::int32_t>& row : rows) {
    for (std::size_t i = 0; i < width; ++i) {
      double sum = 0;
      for (const std::int32_t token : row)
        sum += values[static_cast<std::size_t>(token) * width + i];
      result.push_back(static_cast<float>(sum / static_cast<double>(row.size())));
    }
  }
  return result;
}

GistActivations means(const GistActivations& prompt, const Rows& rows) {
  return {static_cast<std::int32_t>(rows.size()), means(prompt.key, prompt.tokens, rows),
          means(prompt.value, prompt.tokens, rows), means(prompt.hidden, prompt.tokens, rows)};
}

}  // namespace

std::string_view name_of(Baseline baseline) {
  return names[static_cast<std::size_t>(baseline)];
}

std::optional<Baseline> baseline_named(std::string_view name) {
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end()) return std::nullopt;
  return static_cast<Baseline>(found - names.begin());
}

GistActivations mean_pooled(const GistActivations& prompt, std::int32_t k) {
  const std::int32_t segments = std::min(k, prompt.tokens);
  Rows rows;
  const auto end_of = [&](std::int64_t segment) {
    return static_cast<std::int32_t>(segment * prompt.tokens / segments);
  };
  for (std::int32_t i = 0; i < segments; ++i) {
    rows.emplace_back(static_cast<std::size_t>(end_of(i + 1) - end_of(i)));
    std::iota(rows.back().begin(), rows.back().end(), end_of(i));
  }
  return means(prompt, rows);
}

GistActivations random_tokens(const GistActivations& prompt, std::int32_t k, std::uint64_t seed,
                              std::uint64_t ordinal) {
  std::vector<std::uint32_t> tokens =
      shuffled(seed, ordinal, static_cast<std::uint32_t>(prompt.tokens));
  tokens.resize(std::min(tokens.size(), static_cast<std::size_t>(k)));
  std::sort(tokens.begin(), tokens.end());
  Rows rows;
  for (const std::uint32_t token : tokens) rows.push_back({static_cast<std::int32_t>(token)});
  return means(prompt, rows);
}

}  // namespace gist
