#include "core/new_token.h"

#include <algorithm>
#include <map>
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

/// The tensor as f32 with `rows` rows: number `token` is new, and so are those that it lacks.
std::vector<float> extended(const HostTensor& tensor, std::int64_t rows, std::int32_t token) {
  const std::int64_t width = tensor.shape.rank == 2 ? tensor.shape[1] : 1;
  std::vector<float> values(static_cast<std::size_t>(rows * width));
  convert_to_f32(tensor.data, tensor.dtype, tensor.shape.elements(), values.data());
  const std::int64_t known = std::min<std::int64_t>(token, tensor.shape[0]);
  std::vector<double> sums(static_cast<std::size_t>(width));
  for (std::int64_t i = 0; i < known * width; ++i) {
    sums[static_cast<std::size_t>(i % width)] += values[static_cast<std::size_t>(i)];
  }
  const auto fill = [&](std::int64_t row) {
    std::transform(sums.begin(), sums.end(), values.begin() + row * width, [&](double sum) {
      return static_cast<float>(sum / static_cast<double>(known));
    });
  };
  fill(token);
  for (std::int64_t row = tensor.shape[0]; row < rows; ++row) fill(row);
  return values;
}

}  // namespace

WeightSource with_new_token(const WeightSource& source, const ModelSpec& spec, std::int32_t token,
                            std::int64_t source_rows) {
  const auto held = std::make_shared<std::map<std::string, std::vector<float>>>();
  WeightSource result = source;
  result.find = [source, held, token, source_rows, rows = std::int64_t{spec.vocabulary},
                 names = names_with_rows(spec)](const std::string& name) {
    std::optional<HostTensor> tensor = source.find(name);
    if (!tensor || !names.contains(name)) return tensor;
    const std::int64_t found = tensor->shape[0];
    const bool one_too_few = found == rows - 1 && token == rows - 1;
    const bool fits = found == rows || one_too_few || (found == source_rows && found < rows);
    if (!fits) return tensor;  // refused by its shape
    if (tensor->data != nullptr) {
      const std::vector<float>& values = (*held)[name] = extended(*tensor, rows, token);
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
