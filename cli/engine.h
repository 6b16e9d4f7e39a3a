// From options to a model that is ready to run.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "cli/model_files.h"
#include "cli/options.h"
#include "core/model.h"
#include "formats/gist_store.h"
#include "formats/model_directory.h"
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

/// The family that serves a configuration; `where` names it in messages.
std::unique_ptr<Family> family_for(const nlohmann::json& config, const std::string& where,
                                   const Options& options);
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

/// What a run is told about gisting: by options, else by gist.json. Throws Error(usage) where
/// neither says it, or k doesn't fit the condition.
struct GistOptions {
  Condition condition = Condition::gist;
  std::int32_t gist_tokens = 0;
  PromptTemplate prompt_template = PromptTemplate::decoder_default();
};
GistOptions gist_options(const ModelFiles& files, const ModelSpec& spec, const Options& options);
/// The same for a model that has these settings, or none; `model` names it in messages.
GistOptions gist_options(const std::optional<GistSettings>& settings, const std::string& model,
                         const ModelSpec& spec, const Tokenizer& tokenizer, const Options& options);
/// The layout that published checkpoints of the model's kind were trained on; a decoder's begins
/// with bos where its tokenizer begins texts with it.
PromptTemplate default_template(const ModelSpec& spec, const Tokenizer& tokenizer);
/// The id of the gist token; throws Error(data) where the tokenizer has none.
std::int32_t gist_token_of(const ModelFiles& files);

/// The header of a store made with this model.
StoreHeader store_header(const ModelFiles& files, const ModelSpec& spec, Condition condition,
                         std::int32_t gist_tokens, const PromptTemplate& prompt_template);
/// Throws Error(data) where the store was made with another model, tokenizer or template: what
/// differs. Shapes must always agree; the rest is let through where `allow_mismatch`.
void check_store(const GistStore& store, const ModelFiles& files, const ModelSpec& spec,
                 bool allow_mismatch);

}  // namespace gist
