#include "cli/model_files.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "cli/engine.h"
#include "formats/model_kind.h"
#include "formats/text.h"
#include "formats/unread_tensors.h"
#include "kernels/error.h"

namespace gist {
namespace {

constexpr const char* ignore_option = "ignore-tensors";
constexpr const char* tie_key = "tie_word_embeddings";

std::string config_path(const std::string& directory) {
  return directory + "/config.json";
}

/// The configuration of a directory whose architecture a family serves.
nlohmann::json usable_config(const std::string& directory, const Options& options) {
  require_model_directory(directory);
  nlohmann::json config = read_config_json(directory);
  refuse_quantised(config, config_path(directory));
  (void)family_for(config, config_path(directory), options);
  return config;
}

bool written_by_transformers_5(const nlohmann::json& config) {
  const nlohmann::json version = config.value("transformers_version", nlohmann::json());
  return config.contains("scale_decoder_outputs") ||
         (version.is_string() && version.get_ref<const std::string&>().starts_with("5."));
}

/// The first few, and how many more there are.
std::string listed(const std::vector<std::string>& names) {
  constexpr std::size_t shown = 4;
  std::string text;
  for (std::size_t i = 0; i < std::min(names.size(), shown); ++i) {
    text += (i == 0 ? "" : ", ") + names[i];
  }
  if (names.size() > shown) text += fmt::format(" and {} more", names.size() - shown);
  return text;
}

/// Tensors that the model doesn't read, by whether --ignore-tensors names them.
struct Unread {
  std::vector<std::string> ignored, others;
};

Unread unread_of(const ModelFiles& files, const ModelSpec& spec, const Options& options) {
  const std::vector<std::string> patterns = options.list(ignore_option);
  Unread result;
  for (std::string& name : unread_tensors(files.checkpoint, spec)) {
    (matches_any(name, patterns) ? result.ignored : result.others).push_back(std::move(name));
  }
  return result;
}

ModelSpec spec_of(const ModelFiles& files, const Options& options) {
  return family_for(files.config, config_path(files.path), options)->spec();
}

[[noreturn]] void fail_unread(const ModelFiles& files, const ModelSpec& spec,
                              const std::vector<std::string>& unread) {
  const std::string untied = stored_untied(unread, spec);
  if (!untied.empty()) {
    fail(
        ErrorKind::data,
        "{}: config.json ties {} to the embedding, but the checkpoint has other values for it: set "
        "\"{}\" to false there to use them, or leave them out by --{} {}",
        files.path, in_quotes(untied), tie_key, ignore_option, untied);
  }
  fail(ErrorKind::data,
       "{}: the checkpoint has {} tensor{} that a {} doesn't read: {}; its weights are of another "
       "architecture, or its config.json is another model's. To leave them out: --{} PATTERN",
       files.path, unread.size(), unread.size() == 1 ? "" : "s", spec.architecture, listed(unread),
       ignore_option);
}

}  // namespace

ModelFiles::ModelFiles(const std::string& directory, const Options& options)
    : path(directory),
      config(usable_config(directory, options)),
      checkpoint(directory),
      tokenizer(Tokenizer::open(directory)),
      ends(end_tokens(directory, config, tokenizer)),
      settings(read_gist_json(directory)) {
  ModelSpec spec = spec_of(*this, options);
  Unread unread = unread_of(*this, spec, options);
  if (!stored_untied(unread.others, spec).empty() && written_by_transformers_5(config)) {
    config[tie_key] = false;
    spec = spec_of(*this, options);
    unread = unread_of(*this, spec, options);
  }
  if (!unread.others.empty()) fail_unread(*this, spec, unread.others);
  ignored_tensors = std::move(unread.ignored);
  if (tokenizer.adds_eos() && !spec.encoder_decoder()) {
    spdlog::debug(
        "{}: \"add_eos_token\" is true: answers in training end by that token, prompts don't, as "
        "nothing would follow",
        path);
  }
  if (!ignored_tensors.empty()) {
    spdlog::warn("{}: {} tensor{} left out, as --{} says: {}", path, ignored_tensors.size(),
                 ignored_tensors.size() == 1 ? " is" : "s are", ignore_option,
                 listed(ignored_tensors));
  }
}

OptionSpec ignore_tensors_option() {
  return {
      ignore_option, OptionKind::list, "PATTERN", "",
      "leave out tensors of the checkpoint that the model doesn't read and whose names match, as "
      "in \"*.bias\"; else they are an error"};
}

}  // namespace gist
