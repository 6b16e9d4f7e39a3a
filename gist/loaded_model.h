// A model from its directory to a device: the family that serves it, its weights on a backend.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/model.h"
#include "formats/model/model_files.h"
#include "kernels/counting_backend.h"
#include "kernels/devices.h"
#include "plugins/host/plugin_host.h"

namespace gist {

/// ModelSetup says how a model is found and run.
struct ModelSetup {
  PluginSearch plugins;         // where families are looked for
  std::string family;           // the id of the one to use where several serve a model; "": any
  std::string device = "auto";  // auto, cpu or cuda:N
  DeviceOptions compute;        // in which dtype, on how many threads
  std::vector<std::string> ignored_tensors;  // patterns of names (formats/model/unread_tensors.h)
  std::string adapter = {};  // the directory of one through which it reads gist tokens; "": none
};
/// The same for another model, which reads by itself.
ModelSetup without_adapter(ModelSetup setup);

/// Finds the family that serves a configuration. `setup` must outlive the function.
FamilyFinder family_finder(const ModelSetup& setup);

/// Opens a model's directory, and the adapter's; no weights are loaded yet. Throws as ModelFiles
/// does.
ModelFiles open_model(const std::string& directory, const ModelSetup& setup);

/// Throws Error(data) where the embedding table has too few rows for the tokens that are used.
void check_table(const ModelFiles& files, std::int32_t rows);
/// The family that serves the model's configuration, checked against the tokenizer. A model owns
/// its family: each that is loaded needs one of its own.
std::unique_ptr<Family> family_of(const ModelFiles& files, const ModelSetup& setup);

/// A model with its weights, and the backend that they are on.
struct LoadedModel {
  std::unique_ptr<Backend> backend;
  Model model;
};
/// Loads the weights onto a device (open_device). Throws as Model does.
LoadedModel load_model(const ModelFiles& files, std::unique_ptr<Family> family,
                       std::unique_ptr<Backend> backend);

/// Opens the device that a setup names, as open_device does: a backend of its own for each call.
using BackendOpener = std::function<std::unique_ptr<Backend>(const ModelSetup& setup)>;

/// The same shapes on the meta backend, which counts what a run would cost and computes nothing.
struct PlannedModel {
  std::unique_ptr<CountingBackend> backend;
  Model model;
};
PlannedModel plan_model(const ModelFiles& files, std::unique_ptr<Family> family, Dtype dtype);

}  // namespace gist
