#include "core/new_token.h"

#include <algorithm>
#include <functional>
#include <map>
#include <numeric>
#include <set>
#include <span>
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

/// Sets `row` to the mean of the rows `of` among the first `known` of values [.., width]; false,
/// and nothing is set, where there is none.
bool set_mean(const std::vector<float>& values, std::int32_t known,
              const std::vector<std::int32_t>& of, std::span<float> row) {
  std::vector<double> sums(row.size());
  std::int64_t count = 0;
  for (const std::int32_t each : of) {
    if (each >= known) continue;
    ++count;
    const auto begin = values.begin() + each * std::ssize(row);
    std::transform(sums.begin(), sums.end(), begin, sums.begin(), std::plus<>());
  }
  if (count == 0) return false;
  std::transform(sums.begin(), sums.end(), row.begin(),
                 [&](double sum) { return static_cast<float>(sum / static_cast<double>(count)); });
  return true;
}

/// Sets each token's row among those of `rows`, which begin with the first token's.
void set_rows(const std::vector<float>& values, std::int32_t known, const NewTokens& tokens,
              std::span<float> rows) {
  const std::size_t width = rows.size() / tokens.mean_of.size();
  for (std::size_t i = 0; i < tokens.mean_of.size(); ++i) {
    const std::span<float> row = rows.subspan(i * width, width);
    if (!set_mean(values, known, tokens.mean_of[i], row)) {
      set_mean(values, known, mean_of_all(known).mean_of[0], row);
    }
  }
}

std::int64_t width_of(const HostTensor& tensor) {
  return tensor.shape.rank == 2 ? tensor.shape[1] : 1;
}

/// The tensor as f32 with `rows` rows: the tokens' are new, and so are those that it lacks.
std::vector<float> extended(const HostTensor& tensor, std::int64_t rows, const NewTokens& tokens) {
  const auto width = static_cast<std::size_t>(width_of(tensor));
  std::vector<float> values(static_cast<std::size_t>(rows) * width);
  convert_to_f32(tensor.data, tensor.dtype, tensor.shape.elements(), values.data());
  const auto known =
      static_cast<std::int32_t>(std::min<std::int64_t>(tokens.first, tensor.shape[0]));
  const std::vector<std::int32_t> all = mean_of_all(known).mean_of[0];
  for (auto row = static_cast<std::size_t>(tensor.shape[0]); row < static_cast<std::size_t>(rows);
       ++row) {
    set_mean(values, known, all, std::span(values).subspan(row * width, width));
  }
  set_rows(values, known, tokens,
           std::span(values).subspan(static_cast<std::size_t>(tokens.first) * width,
                                     tokens.mean_of.size() * width));
  return values;
}

}  // namespace

NewTokens mean_of_all(std::int32_t token) {
  NewTokens tokens{token, {std::vector<std::int32_t>(static_cast<std::size_t>(token))}};
  std::iota(tokens.mean_of[0].begin(), tokens.mean_of[0].end(), 0);
  return tokens;
}

std::vector<float> rows_of_new_tokens(const HostTensor& table, const NewTokens& tokens) {
  std::vector<float> values(static_cast<std::size_t>(table.shape.elements()));
  convert_to_f32(table.data, table.dtype, table.shape.elements(), values.data());
  std::vector<float> rows(tokens.mean_of.size() * static_cast<std::size_t>(width_of(table)));
  set_rows(values, static_cast<std::int32_t>(table.shape[0]), tokens, rows);
  return rows;
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
