#include "core/new_token.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <set>
#include <vector>

namespace gist {
namespace {

std::set<std::string> names_with_rows(const ModelSpec& spec) {
  std::set<std::string> names;
  for (std::size_t i = 0; i < spec.weights.size(); ++i) {
    const WeightSpec& weight = spec.weights[i];
    const auto index = static_cast<int>(i);
    const bool head = index == spec.head.weight || index == spec.head.bias;
    if (weight.tied_to.empty() && (head || weight.use == WeightUse::table) &&
        weight.shape[0] == spec.vocabulary) {
      names.insert(weight.name);
    }
  }
  return names;
}

/// The tensor as f32 with `rows` rows: the tokens' are new, and so are those that it lacks.
std::vector<float> extended(const HostTensor& tensor, std::int64_t rows, const NewTokens& tokens) {
  const std::int64_t width = tensor.shape.rank == 2 ? tensor.shape[1] : 1;
  std::vector<float> values(static_cast<std::size_t>(rows * width));
  convert_to_f32(tensor.data, tensor.dtype, tensor.shape.elements(), values.data());
  const auto known =
      static_cast<std::int32_t>(std::min<std::int64_t>(tokens.first, tensor.shape[0]));
  std::vector<double> sums(static_cast<std::size_t>(width));
  const auto fill = [&](std::int64_t row, const std::vector<std::int32_t>& of) {
    std::fill(sums.begin(), sums.end(), 0);
    std::int64_t count = 0;
    for (const std::int32_t each : of) {
      if (each >= known) continue;
      ++count;
      for (std::int64_t i = 0; i < width; ++i) {
        sums[static_cast<std::size_t>(i)] += values[static_cast<std::size_t>(each * width + i)];
      }
    }
    if (count == 0) return false;
    std::transform(sums.begin(), sums.end(), values.begin() + row * width, [&](double sum) {
      return static_cast<float>(sum / static_cast<double>(count));
    });
    return true;
  };
  const std::vector<std::int32_t> all = mean_of_all(known).mean_of[0];
  for (std::int64_t row = tensor.shape[0]; row < rows; ++row) fill(row, all);
  for (std::int32_t token = tokens.first; token < tokens.end(); ++token) {
    if (!fill(token, tokens.mean_of[static_cast<std::size_t>(token - tokens.first)])) {
      fill(token, all);
    }
  }
  return values;
}

}  // namespace

NewTokens mean_of_all(std::int32_t token) {
  NewTokens tokens{token, {std::vector<std::int32_t>(static_cast<std::size_t>(token))}};
  std::iota(tokens.mean_of[0].begin(), tokens.mean_of[0].end(), 0);
  return tokens;
}

WeightSource with_new_tokens(const WeightSource& source, const ModelSpec& spec,
                             const NewTokens& tokens, std::int64_t source_rows) {
  const auto held = std::make_shared<std::map<std::string, std::vector<float>>>();
  WeightSource result = source;
  result.find = [source, held, tokens, source_rows, rows = std::int64_t{spec.vocabulary},
                 names = names_with_rows(spec)](const std::string& name) {
    std::optional<HostTensor> tensor = source.find(name);
    if (!tensor || !names.contains(name)) return tensor;
    const std::int64_t found = tensor->shape[0];
    const bool lacks_the_new = found == tokens.first && tokens.end() == rows;
    const bool fits = found == rows || lacks_the_new || (found == source_rows && found < rows);
    if (!fits) return tensor;  // refused by its shape
    if (tensor->data != nullptr) {
      const std::vector<float>& values = (*held)[name] = extended(*tensor, rows, tokens);
      tensor->data = reinterpret_cast<const std::byte*>(values.data());
      tensor->dtype = Dtype::f32;
    }
    tensor->shape.dims[0] = rows;
    return tensor;
  };
  result.done = [source, held](const std::string& name) {
    held->erase(name);
    source.done(name);
  };
  return result;
}

}  // namespace gist
