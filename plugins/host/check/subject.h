// What is checked: a family, on a small configuration with random weights.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include <nlohmann/json.hpp>

#include "core/model.h"
#include "plugins/host/loader.h"

namespace gist {

/// Is told what is tried next, so that it is known if the process ends there.
using Trying = std::function<void(const std::string& what)>;

/// A family of a loaded plugin, and the configuration that the manifest has for its checks.
struct CheckSubject {
  const LoadedPlugin* plugin;
  const LoadedPlugin::Family* family;
  nlohmann::json config;

  /// As configure_family does.
  std::unique_ptr<Family> configured(const nlohmann::json& changed) const;
};

/// A number of a configuration, wherever it stands in it.
struct ConfigNumber {
  std::string name;  // "rope_scaling.factor"
  std::string key;   // the one of the configuration itself: "rope_scaling"
  nlohmann::json::json_pointer at{};
};
/// Those of objects within it, too, and none of lists.
std::vector<ConfigNumber> numbers_of(const nlohmann::json& config);
nlohmann::json with_value(const nlohmann::json& config, const ConfigNumber& number,
                          const nlohmann::json& value);

/// The declared sizes, names and numbers as text, without windows: equal ones compute the same of the
/// same weights, if their callbacks do.
std::string outline(const ModelSpec& spec);

/// Runs a model's callbacks without computing anything. Throws what they throw.
void run_shapes(std::unique_ptr<Family> family);

/// A configuration unlike the subject's: its sizes are doubled, its numbers are others, as far as the
/// family takes them and can run them.
nlohmann::json other_configuration(const CheckSubject& subject);

/// A model with random weights, computed by one thread.
struct CheckedModel {
  explicit CheckedModel(std::unique_ptr<Family> family);

  std::unique_ptr<Backend> backend;
  Model model;
};

}  // namespace gist
