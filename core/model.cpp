#include "core/model.h"

#include <algorithm>
#include <map>

#include "core/adapter.h"
#include "core/finite_weights.h"
#include "core/parameters.h"
#include "kernels/error.h"

namespace gist {
namespace {

constexpr std::string_view layer_mark = "{layer}";

std::string in_layer(std::string name, int layer) {
  const std::size_t at = name.find(layer_mark);
  if (at != std::string::npos) name.replace(at, layer_mark.size(), std::to_string(layer));
  return name;
}

/// The tensor that has the weight's values.
std::string stored_name(const WeightSpec& spec, int layer) {
  return spec.tied_to.empty() ? weight_name(spec, layer) : spec.tied_to;
}

Weight load(const WeightSpec& spec, const HostTensor& found, std::int64_t vocabulary, FrozenFor use,
            Backend& backend) {
  Weight weight;
  if (spec.use == WeightUse::matrix && use == FrozenFor::inference) {
    weight.matrix = backend.pack(found);
    return weight;
  }
  const bool as_stored = spec.use == WeightUse::table && spec.shape[0] == vocabulary;
  weight.tensor = {nullptr, Dtype::f32, found.shape};
  if (as_stored) weight.tensor.dtype = found.dtype;
  // Products would round it in each pass: what is computed is the same to the last bit.
  if (spec.use == WeightUse::matrix) weight.tensor.dtype = backend.products_dtype();
  weight.buffer = backend.allocate(weight.tensor.bytes());
  weight.tensor.data = weight.buffer.data();
  upload_finite(found, weight.tensor, backend);
  if (spec.use == WeightUse::matrix) weight.matrix = backend.plain(weight.tensor);
  return weight;
}

}  // namespace

int copies_of(const WeightSpec& weight, const ModelSpec& spec) {
  return weight.stack ? spec.stacks[static_cast<std::size_t>(*weight.stack)].layers : 1;
}

std::vector<std::string> other_weight_names(const WeightSpec& spec, int layer) {
  std::vector<std::string> names;
  for (const std::string& name : spec.other_names) names.push_back(in_layer(name, layer));
  return names;
}

Shape stored_shape(const Shape& shape, bool transposed) {
  return transposed ? Shape{shape[1], shape[0]} : shape;
}

WeightSource under_declared_names(const WeightSource& source, const ModelSpec& spec) {
  std::map<std::string, std::vector<std::string>> others;
  for (const WeightSpec& weight : spec.weights) {
    for (int layer = 0; layer < copies_of(weight, spec) && !weight.other_names.empty(); ++layer) {
      others[weight_name(weight, layer)] = other_weight_names(weight, layer);
    }
  }
  if (others.empty()) return source;
  const auto stored = [source, others](const std::string& name) {
    const auto known = others.find(name);
    if (known == others.end() || source.find(name)) return name;
    const auto other =
        std::find_if(known->second.begin(), known->second.end(),
                     [&](const std::string& candidate) { return source.find(candidate); });
    return other == known->second.end() ? name : *other;
  };
  WeightSource result = source;
  result.find = [source, stored](const std::string& name) { return source.find(stored(name)); };
  result.done = [source, stored](const std::string& name) { source.done(stored(name)); };
  return result;
}

FoundWeight found_weight(const WeightSource& source, const std::string& name, const Shape& shape,
                         bool stored_transposed) {
  const std::optional<HostTensor> found = source.find(name);
  const Shape expected = stored_shape(shape, stored_transposed);
  if (!found) {
    fail(ErrorKind::data, "{} has no tensor \"{}\" of shape {}, which the model needs",
         source.description, name, to_string(expected));
  }
  if (!(found->shape == expected)) {
    fail(ErrorKind::data, "{}: tensor \"{}\" has shape {}, but the configuration asks for {}",
         source.description, name, to_string(found->shape), to_string(expected));
  }
  if (found->dtype == Dtype::i32) {
    fail(ErrorKind::data, "{}: tensor \"{}\" holds integers, but a weight is f32, bf16 or f16",
         source.description, name);
  }
  if (!stored_transposed) return {*found};
  FoundWeight weight{{nullptr, found->dtype, shape}};
  if (found->data == nullptr) return weight;
  weight.turned.resize(static_cast<std::size_t>(shape.elements()) * size_of(found->dtype));
  transpose(found->data, expected, size_of(found->dtype), weight.turned.data());
  weight.tensor.data = weight.turned.data();
  return weight;
}

std::string weight_name(const WeightSpec& spec, int layer) {
  return in_layer(spec.name, layer);
}

Model::Model(std::unique_ptr<Family> family, Backend& backend, const WeightSource& given,
             FrozenFor use)
    : family_(std::move(family)), backend_(&backend) {
  const ModelSpec& spec = family_->spec();
  const WeightSource source = under_declared_names(given, spec);
  std::map<std::string, int> readers;  // of a tensor: several where weights are tied
  for (const WeightSpec& weight : spec.weights) {
    for (int layer = 0; layer < copies_of(weight, spec); ++layer) {
      ++readers[stored_name(weight, layer)];
    }
  }
  for (const WeightSpec& weight : spec.weights) {
    std::vector<Weight>& loaded = weights_.emplace_back();
    for (int layer = 0; layer < copies_of(weight, spec); ++layer) {
      const std::string stored = stored_name(weight, layer);
      const FoundWeight found =
          found_weight(source, stored, weight.shape, weight.stored_transposed);
      with_name_of_weight(source, stored, [&] {
        loaded.push_back(load(weight, found.tensor, spec.vocabulary, use, backend));
      });
      const Weight& last = loaded.back();
      weight_bytes_ += last.buffer.data() == nullptr ? last.matrix->bytes() : last.buffer.bytes();
      if (--readers[stored] == 0) source.done(stored);
    }
  }
}

Model::Model(std::unique_ptr<Family> family, const Parameters& parameters)
    : family_(std::move(family)), backend_(&parameters.backend()) {
  const ModelSpec& spec = family_->spec();
  for (const WeightSpec& declared : spec.weights) {
    std::vector<Weight>& copies = weights_.emplace_back();
    for (int layer = 0; layer < copies_of(declared, spec); ++layer) {
      const Parameter& parameter = parameters.named(stored_name(declared, layer));
      Weight& weight = copies.emplace_back();
      weight.tensor = parameters.of(Parameters::Kind::value, parameter);
      weight.gradient = parameters.of(Parameters::Kind::gradient, parameter);
      if (declared.use == WeightUse::matrix) weight.matrix = backend_->plain(weight.tensor);
    }
  }
  weight_bytes_ = static_cast<std::size_t>(parameters.elements()) * sizeof(float);
}

Model::Model(Model&&) noexcept = default;
Model& Model::operator=(Model&&) noexcept = default;
Model::~Model() = default;

void Model::attach(std::unique_ptr<const Adapter> adapter) {
  weight_bytes_ += adapter->bytes();
  adapter_ = std::move(adapter);
}

const Weight& Model::weight(int index, int layer) const {
  if (index < 0 || index >= static_cast<int>(weights_.size())) {
    fail(ErrorKind::internal, "weight {} does not exist: the model declares {}", index,
         weights_.size());
  }
  const std::vector<Weight>& copies = weights_[static_cast<std::size_t>(index)];
  return copies[copies.size() == 1 ? 0 : static_cast<std::size_t>(layer)];
}

WeightSource shapes_only(const ModelSpec& spec, Dtype dtype) {
  std::vector<std::pair<std::string, Shape>> shapes;
  for (const WeightSpec& weight : spec.weights) {
    for (int layer = 0; layer < copies_of(weight, spec); ++layer) {
      shapes.emplace_back(weight_name(weight, layer),
                          stored_shape(weight.shape, weight.stored_transposed));
    }
  }
  std::sort(shapes.begin(), shapes.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  WeightSource source;
  source.find = [shapes = std::move(shapes),
                 dtype](const std::string& name) -> std::optional<HostTensor> {
    const auto at = std::lower_bound(
        shapes.begin(), shapes.end(), name,
        [](const auto& entry, const std::string& wanted) { return entry.first < wanted; });
    if (at == shapes.end() || at->first != name) return std::nullopt;
    return HostTensor{nullptr, dtype, at->second};
  };
  source.done = [](const std::string&) {};
  source.description = "the model";
  return source;
}

}  // namespace gist
