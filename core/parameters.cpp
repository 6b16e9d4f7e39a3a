#include "core/parameters.h"

#include <algorithm>

#include "core/finite_weights.h"
#include "core/random.h"
#include "kernels/error.h"

namespace gist {
namespace {

constexpr std::int64_t alignment_floats = 16;  // floats: a vector, a cache line

std::int64_t round_up(std::int64_t elements) {
  return (elements + alignment_floats - 1) / alignment_floats * alignment_floats;
}

}  // namespace

std::vector<Parameter> model_parameters(const ModelSpec& spec) {
  std::vector<Parameter> list;
  for (const WeightSpec& weight : spec.weights) {
    if (!weight.tied_to.empty()) continue;
    for (int layer = 0; layer < copies_of(weight, spec); ++layer) {
      list.push_back({weight_name(weight, layer), weight.shape, weight.init,
                      weight.stored_transposed, weight.use != WeightUse::vector});
    }
  }
  return list;
}

Parameters::Parameters(const std::vector<Parameter>& list, Backend& backend, Use use)
    : backend_(&backend) {
  for (const bool decaying : {true, false}) {
    for (const Parameter& parameter : list) {
      if (parameter.decays != decaying) continue;
      list_.push_back(parameter);
      list_.back().offset = elements_;
      elements_ += round_up(parameter.shape.elements());
    }
    if (decaying) decayed_ = elements_;
  }
  for (const Kind kind : {Kind::value, Kind::gradient, Kind::first_moment, Kind::second_moment}) {
    if (use == Use::inference && kind != Kind::value) continue;
    Buffer& array = arrays_[static_cast<std::size_t>(kind)];
    array = backend.allocate(static_cast<std::size_t>(elements_) * sizeof(float));
    backend.run(ops::Zero{.x = all(kind)});
  }
}

const Parameter& Parameters::named(const std::string& name) const {
  for (const Parameter& parameter : list_) {
    if (parameter.name == name) return parameter;
  }
  fail(ErrorKind::internal, "there is no parameter \"{}\"", name);
}

Tensor Parameters::of(Kind kind, const Parameter& parameter) const {
  if (arrays_[static_cast<std::size_t>(kind)].data() == nullptr) return {};
  const std::int64_t end = parameter.offset + parameter.shape.elements();
  return all(kind).rows(parameter.offset, end).reshaped(parameter.shape);
}

Tensor Parameters::all(Kind kind) const {
  return {arrays_[static_cast<std::size_t>(kind)].data(), Dtype::f32, {elements_}};
}

std::int64_t Parameters::count() const {
  std::int64_t count = 0;
  for (const Parameter& parameter : list_) count += parameter.shape.elements();
  return count;
}

void load(Parameters& parameters, const WeightSource& source) {
  for (const Parameter& parameter : parameters.list()) {
    const FoundWeight found =
        found_weight(source, parameter.name, parameter.shape, parameter.stored_transposed);
    with_name_of_weight(source, parameter.name, [&] {
      parameters.backend().upload(parameters.of(Parameters::Kind::value, parameter),
                                  finite_values(found.tensor).data());
    });
    source.done(parameter.name);
  }
}

void initialise(Parameters& parameters, std::uint64_t seed) {
  std::vector<float> values;
  for (const Parameter& parameter : parameters.list()) {
    values.resize(static_cast<std::size_t>(parameter.shape.elements()));
    switch (parameter.init.kind) {
      case Initializer::Kind::normal:
        draw_normal(seed, parameter.name, parameter.init.value, values);
        break;
      case Initializer::Kind::constant:
        std::fill(values.begin(), values.end(), parameter.init.value);
        break;
    }
    parameters.backend().upload(parameters.of(Parameters::Kind::value, parameter), values.data());
  }
}

}  // namespace gist
