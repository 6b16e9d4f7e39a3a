// From options to a model that is ready to run.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "cli/options.h"
#include "core/model.h"
#include "formats/model/model_files.h"
#include "formats/sequences/gisting.h"
#include "kernels/meta/meta_backend.h"

namespace gist {

/// How models are run: --plugin-path, --family, --device, --dtype, --threads; --ignore-tensors.
std::vector<OptionSpec> engine_options();
/// The options of commands that run one model: --model and these.
std::vector<OptionSpec> model_options();
/// --config, --print-config.
std::vector<OptionSpec> config_options();
/// Several tables in one.
std::vector<OptionSpec> joined(std::initializer_list<std::vector<OptionSpec>> tables);

/// --dtype, and the device of --device with --threads.
Dtype compute_dtype(const Options& options);
std::unique_ptr<Backend> make_backend(const Options& options);

/// How the family that serves a configuration is found: by --plugin-path and --family. `options`
/// must outlive it.
FamilyFinder family_finder(const Options& options);
/// Opens a model's directory, and says which of its tensors are left out, by --ignore-tensors.
/// Throws as ModelFiles.
ModelFiles open_model(const std::string& directory, const Options& options);
/// Throws Error(data) where the embedding table lacks rows for the tokens that are used.
void check_table(const Tokenizer& tokenizer, std::int32_t rows);
/// The family that serves the model's configuration, checked against the tokenizer.
std::unique_ptr<Family> family_of(const ModelFiles& files, const Options& options);

/// A backend with a model on it.
struct Engine {
  std::unique_ptr<Backend> backend;
  Model model;
};
/// Loads the weights onto the device that the options name.
Engine load_engine(const ModelFiles& files, std::unique_ptr<Family> family, const Options& options);

/// The same shapes on the meta backend: what a run would cost.
struct PlanningEngine {
  std::unique_ptr<CountingBackend> backend;
  Model model;
};
PlanningEngine plan_engine(const ModelFiles& files, std::unique_ptr<Family> family,
                           const Options& options);

/// What options say about gisting, else gist.json. Throws Error(usage) where neither says it, or k
/// doesn't fit the condition.
Gisting gist_options(const ModelFiles& files, const ModelSpec& spec, const Options& options);
/// The same for a model that has these settings, or none; `model` names it in messages.
Gisting gist_options(const std::optional<GistSettings>& settings, const std::string& model,
                     const ModelSpec& spec, const Tokenizer& tokenizer, const Options& options);

}  // namespace gist
