// The options by which a model is found and run, and the way from them to a model.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "cli/options.h"
#include "formats/sequences/gisting.h"
#include "gist/loaded_model.h"

namespace gist {

/// Returns the options that say how models are found and run: --plugin-path, --family, --device,
/// --dtype, --threads and others.
std::vector<OptionSpec> setup_options();
/// The options of commands that run one model: --model and these.
std::vector<OptionSpec> model_options();
/// --config, --print-config.
std::vector<OptionSpec> config_options();
/// --adapter, of what reads prompts.
std::vector<OptionSpec> adapter_option();
/// Several tables in one.
std::vector<OptionSpec> joined(std::initializer_list<std::vector<OptionSpec>> tables);

/// --plugin-path, GIST_PLUGIN_PATH and the user's data directory.
PluginSearch plugin_search(const Options& options);
/// --dtype.
Dtype compute_dtype(const Options& options);
/// Returns what the options of setup_options() say.
ModelSetup setup_of(const Options& options);
/// Opens the setup's device, and says which one "auto" chose. Errors name the options.
std::unique_ptr<Backend> open_backend(const ModelSetup& setup);
/// Opens a model's directory, and says which of its tensors are left out, by --ignore-tensors.
/// Throws as ModelFiles.
ModelFiles open_model_and_tell(const std::string& directory, const ModelSetup& setup);

/// GistingRequest holds what --condition and --gist-tokens say, where they are given.
struct GistingRequest {
  bool names_condition = true;  // false: the command has no --condition
  std::optional<Condition> condition;
  std::optional<std::int32_t> gist_tokens;
};
/// Throws Error(usage) for values that are not what they should be.
GistingRequest gisting_request(const Options& options);

/// Returns what the request says about gisting, or else gist.json. Throws Error(usage) where
/// neither says it, and as check_gist_tokens.
Gisting gisting_of(const GistingRequest& request, const ModelFiles& files, const ModelSpec& spec);
/// The same for a model that has these settings, or none, and may be trained with any number of
/// gist tokens; `model` names it in messages.
Gisting gisting_of(const GistingRequest& request, const std::optional<GistSettings>& settings,
                   const std::string& model, const ModelSpec& spec, const Tokenizer& tokenizer);
/// Throws Error(usage) where a model can't be trained so: its condition hides behind no gist token.
void require_gist_tokens(const Gisting& gisting);

}  // namespace gist
