#include "core/adapter.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <string_view>

#include <fmt/ranges.h>

#include "kernels/error.h"

namespace gist {
namespace {

constexpr std::string_view weight_end = ".weight";
constexpr std::string_view experts_part = ".experts.";

/// A matrix of one layer that an adapter may act on.
struct LayerMatrix {
  int weight = 0, layer = 0;
  std::string module;  // its name without ".weight"
  Shape shape;         // [n, k]
};

std::string module_of(const std::string& name) {
  return name.ends_with(weight_end) ? name.substr(0, name.size() - weight_end.size()) : name;
}

/// Gist tokens stand in the first stack.
std::vector<LayerMatrix> layer_matrices(const ModelSpec& spec) {
  std::vector<LayerMatrix> matrices;
  for (std::size_t i = 0; i < spec.weights.size(); ++i) {
    const WeightSpec& weight = spec.weights[i];
    if (weight.use != WeightUse::matrix || weight.stack != 0) continue;
    for (int layer = 0; layer < copies_of(weight, spec); ++layer) {
      matrices.push_back(
          {static_cast<int>(i), layer, module_of(weight_name(weight, layer)), weight.shape});
    }
  }
  return matrices;
}

bool is_expert(const std::string& module) {
  return module.find(experts_part) != std::string::npos;
}

bool target_names(const std::string& target, const std::string& module) {
  return module == target || module.ends_with("." + target);
}

bool is_target(const LayerMatrix& matrix, const AdapterSpec& adapter) {
  return std::any_of(
      adapter.targets.begin(), adapter.targets.end(),
      [&](const std::string& target) { return target_names(target, matrix.module); });
}

void check_targets(const ModelSpec& spec, const AdapterSpec& adapter) {
  const std::vector<LayerMatrix> matrices = layer_matrices(spec);
  for (const std::string& target : adapter.targets) {
    const auto found = std::find_if(matrices.begin(), matrices.end(), [&](const LayerMatrix& each) {
      return target_names(target, each.module);
    });
    if (found == matrices.end()) {
      fail(ErrorKind::usage, "an adapter's target {} names no matrix of the {}; it has {}",
           target.empty() ? "\"\"" : target, spec.architecture, fmt::join(all_targets(spec), ", "));
    }
    if (is_expert(found->module)) {
      fail(ErrorKind::usage, "an adapter's target {} names an expert's matrix, {}: it can be {}",
           target, found->module, fmt::join(all_targets(spec), ", "));
    }
  }
}

std::string gist_rows_name(const ModelSpec& spec) {
  const auto table = static_cast<std::size_t>(embedding_table_of(spec));
  return module_of(spec.weights[table].name) + gist_rows_end;
}

std::string part_name(const LayerMatrix& matrix, char part) {
  return fmt::format("{}.lora_{}.weight", matrix.module, part);
}

Weight weight_of(const Parameters& parameters, const Parameter& parameter, bool as_matrix) {
  Weight weight;
  weight.tensor = parameters.of(Parameters::Kind::value, parameter);
  weight.gradient = parameters.of(Parameters::Kind::gradient, parameter);
  if (as_matrix) weight.matrix = parameters.backend().plain(weight.tensor);
  return weight;
}

}  // namespace

std::vector<std::string> adaptable_matrices(const ModelSpec& spec) {
  std::vector<std::string> modules;
  for (const LayerMatrix& matrix : layer_matrices(spec)) {
    if (!is_expert(matrix.module)) modules.push_back(matrix.module);
  }
  return modules;
}

std::vector<std::string> all_targets(const ModelSpec& spec) {
  std::set<std::string> targets;
  for (const std::string& module : adaptable_matrices(spec)) {
    targets.insert(module.substr(module.rfind('.') + 1));
  }
  return {targets.begin(), targets.end()};
}

std::vector<Parameter> adapter_parameters(const ModelSpec& spec, const AdapterSpec& adapter) {
  if (adapter.rank < 1 || !(adapter.alpha > 0) || !adapter.gist_ids.any()) {
    fail(ErrorKind::internal, "an adapter of rank {}, alpha {} and {} gist tokens", adapter.rank,
         adapter.alpha, adapter.gist_ids.any() ? adapter.gist_ids.count : 0);
  }
  check_targets(spec, adapter);
  std::vector<Parameter> parameters;
  for (const LayerMatrix& matrix : layer_matrices(spec)) {
    if (!is_target(matrix, adapter)) continue;
    const std::int64_t n = matrix.shape[0], k = matrix.shape[1];
    // The deviation of the uniform distribution within 1 / sqrt(k), which is customary.
    const float deviation = 1 / std::sqrt(3 * static_cast<float>(k));
    parameters.push_back(
        {part_name(matrix, 'A'), {adapter.rank, k}, {Initializer::Kind::normal, deviation}});
    parameters.push_back(
        {part_name(matrix, 'B'), {n, adapter.rank}, {Initializer::Kind::constant, 0}});
  }
  parameters.push_back({gist_rows_name(spec),
                        {adapter.gist_ids.count, spec.d_model},
                        {Initializer::Kind::constant, 0}});
  return parameters;
}

int embedding_table_of(const ModelSpec& spec) {
  const auto table =
      std::find_if(spec.weights.begin(), spec.weights.end(), [&](const WeightSpec& weight) {
        return weight.use == WeightUse::table && weight.shape[0] == spec.vocabulary;
      });
  if (table == spec.weights.end()) {
    fail(ErrorKind::data, "the {} has no embedding table of {} tokens", spec.architecture,
         spec.vocabulary);
  }
  return static_cast<int>(table - spec.weights.begin());
}

const Parameter& gist_rows_of(const Parameters& parameters) {
  return parameters.list().back();
}

Adapter::Adapter(const ModelSpec& spec, AdapterSpec adapter, const Parameters& parameters)
    : spec_(std::move(adapter)) {
  find_parts(spec, parameters);
}

Adapter::Adapter(const ModelSpec& spec, AdapterSpec adapter, const WeightSource& source,
                 Backend& backend)
    : spec_(std::move(adapter)) {
  auto parameters = std::make_unique<Parameters>(adapter_parameters(spec, spec_), backend,
                                                 Parameters::Use::inference);
  load(*parameters, source);
  find_parts(spec, *parameters);
  own_ = std::move(parameters);
}

void Adapter::find_parts(const ModelSpec& spec, const Parameters& parameters) {
  for (const LayerMatrix& matrix : layer_matrices(spec)) {
    if (!is_target(matrix, spec_)) continue;
    LowRank& part = parts_[{matrix.weight, matrix.layer}];
    part.a = weight_of(parameters, parameters.named(part_name(matrix, 'A')), true);
    part.b = weight_of(parameters, parameters.named(part_name(matrix, 'B')), true);
  }
  gist_rows_ = weight_of(parameters, gist_rows_of(parameters), false);
  bytes_ = static_cast<std::size_t>(parameters.elements()) * sizeof(float);
}

const LowRank* Adapter::of(int weight, int layer) const {
  const auto found = parts_.find({weight, layer});
  return found == parts_.end() ? nullptr : &found->second;
}

}  // namespace gist
