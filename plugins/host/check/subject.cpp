#include "plugins/host/check/subject.h"

#include "core/predict.h"
#include "kernels/cpu/cpu_backend.h"
#include "kernels/error.h"
#include "kernels/meta/meta_backend.h"
#include "plugins/host/check/random_weights.h"
#include "plugins/host/check/walk.h"
#include "plugins/host/plugin_family.h"

namespace gist {
namespace {

using nlohmann::json;

void add_numbers(const json& object, const ConfigNumber& within, std::vector<ConfigNumber>& found) {
  for (const auto& [key, value] : object.items()) {
    const ConfigNumber number{within.name.empty() ? key : within.name + "." + key,
                              within.key.empty() ? key : within.key, within.at / key};
    if (value.is_number()) found.push_back(number);
    if (value.is_object()) add_numbers(value, number, found);
  }
}

/// Whether the family takes a configuration, and its model runs.
bool can_run(const CheckSubject& subject, const json& config) {
  try {
    run_shapes(subject.configured(config));
    return true;
  } catch (const std::exception&) {
    return false;
  }
}

}  // namespace

std::unique_ptr<Family> CheckSubject::configured(const json& changed) const {
  return configure_family(*plugin, *family, changed, family->architectures[0],
                          "the check's configuration");
}

std::vector<ConfigNumber> numbers_of(const json& config) {
  std::vector<ConfigNumber> found;
  add_numbers(config, ConfigNumber{}, found);
  return found;
}

json with_value(const json& config, const ConfigNumber& number, const json& value) {
  json changed = config;
  changed[number.at] = value;
  return changed;
}

std::string outline(const ModelSpec& spec) {
  std::string text =
      fmt::format("{} {} {} {} {} {} {} {} {}", spec.d_model, spec.vocabulary, spec.max_positions,
                  static_cast<int>(spec.key_position), spec.decoder_start, spec.head.weight,
                  spec.head.bias, spec.head.scale, spec.head.soft_cap);
  for (const StackSpec& stack : spec.stacks) {
    text += fmt::format("; {} {} {} {} {}", stack.layers, stack.heads, stack.kv_heads,
                        stack.key_dim, stack.value_dim);
  }
  for (const WeightSpec& weight : spec.weights) {
    text += fmt::format("; {} {} {} {} {}", weight.name, to_string(weight.shape), weight.tied_to,
                        static_cast<int>(weight.init.kind), weight.init.value);
  }
  return text;
}

void run_shapes(std::unique_ptr<Family> family) {
  const ModelSpec spec = family->spec();
  const auto backend = make_meta_backend();
  const Model model(std::move(family), *backend, shapes_only(spec, Dtype::f32));
  LabelledSequence sequence;
  sequence.sequence.ids = random_ids(spec);
  if (sequence.sequence.tokens() < 2) sequence.sequence.ids.resize(2);
  sequence.labels = 1;
  Scratch scratch(*backend);
  predict(model, {&sequence, 1}, scratch);
}

json other_configuration(const CheckSubject& subject) {
  json config = subject.config;
  for (const ConfigNumber& number : numbers_of(config)) {
    const json value = config[number.at];
    const json other = value.is_number_integer() ? json(2 * value.get<std::int64_t>())
                                                 : json(0.75 * value.get<double>());
    const json changed = with_value(config, number, other);
    if (can_run(subject, changed)) config = changed;
  }
  return config;
}

CheckedModel::CheckedModel(std::unique_ptr<Family> family)
    : backend(make_cpu_backend({.threads = 1})), model([&] {
        const RandomWeights weights(family->spec());
        return Model(std::move(family), *backend, weights.source());
      }()) {}

}  // namespace gist
