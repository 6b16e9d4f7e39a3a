#include "formats/model/model_files.h"

#include <algorithm>
#include <utility>

#include "formats/files/text.h"
#include "formats/model/fingerprint.h"
#include "formats/model/model_directory.h"
#include "formats/model/model_kind.h"
#include "formats/model/unread_tensors.h"
#include "kernels/error.h"

namespace gist {
namespace {

constexpr const char* ignore_option = "ignore-tensors";
constexpr const char* tie_key = "tie_word_embeddings";

/// The configuration of a directory whose architecture a family serves.
nlohmann::json usable_config(const std::string& directory, const FamilyFinder& families) {
  require_model_directory(directory);
  nlohmann::json config = read_config_json(directory);
  refuse_quantised(config, config_place(directory));
  (void)families(config, config_place(directory));
  return config;
}

bool written_by_transformers_5(const nlohmann::json& config) {
  const nlohmann::json version = config.value("transformers_version", nlohmann::json());
  return config.contains("scale_decoder_outputs") ||
         (version.is_string() && version.get_ref<const std::string&>().starts_with("5."));
}

/// Tensors that the model doesn't read, by whether a pattern names them.
struct Unread {
  std::vector<std::string> ignored, others;
};

Unread unread_of(const ModelFiles& files, const ModelSpec& spec,
                 const std::vector<std::string>& patterns) {
  Unread result;
  for (std::string& name : unread_tensors(files.checkpoint, spec)) {
    (matches_any(name, patterns) ? result.ignored : result.others).push_back(std::move(name));
  }
  return result;
}

/// Throws Error(data) where gist.json has other ids than the tokenizer.
void check_gist_ids(const ModelFiles& files) {
  if (!files.settings || !files.settings->distinct_ids.any()) return;
  const GistIds& ids = files.settings->distinct_ids;
  const GistIds found = files.tokenizer.gist_ids();
  if (found.first == ids.first && found.count >= ids.count) return;
  fail(
      ErrorKind::data,
      "{}/gist.json: \"gist_tokens\" has the {} ids from {} on, but the tokenizer's {} to {} are not "
      "there: copy its files from the directory that gist train wrote",
      files.path, ids.count, ids.first, Tokenizer::gist_token_text(0),
      Tokenizer::gist_token_text(ids.count - 1));
}

ModelSpec spec_of(const ModelFiles& files, const FamilyFinder& families) {
  return families(files.config, config_place(files.path))->spec();
}

[[noreturn]] void fail_unread(const ModelFiles& files, const ModelSpec& spec,
                              const std::vector<std::string>& unread) {
  const std::string untied = stored_untied(unread, spec);
  if (!untied.empty()) {
    fail(
        ErrorKind::data,
        "{}: the configuration ties {} to the embedding, but the checkpoint has other values for it: set "
        "\"{}\" to false there to use them, or leave them out by --{} {}",
        files.path, in_quotes(untied), tie_key, ignore_option, untied);
  }
  fail(ErrorKind::data,
       "{}: the checkpoint has {} tensor{} that a {} doesn't read: {}; its weights are of another "
       "architecture, or its config.json is another model's. To leave them out: --{} PATTERN",
       files.path, unread.size(), unread.size() == 1 ? "" : "s", spec.architecture,
       first_few(unread), ignore_option);
}

}  // namespace

ModelFiles::ModelFiles(const std::string& directory, const FamilyFinder& families,
                       const std::vector<std::string>& ignore)
    : path(directory),
      config(usable_config(directory, families)),
      checkpoint(directory),
      tokenizer(Tokenizer::open(directory)),
      ends(end_tokens(directory, config, tokenizer)),
      settings(read_gist_json(directory)),
      base_tokenizer_sha256(tokenizer.sha256()) {
  check_gist_ids(*this);
  ModelSpec spec = spec_of(*this, families);
  Unread unread = unread_of(*this, spec, ignore);
  if (!stored_untied(unread.others, spec).empty() && written_by_transformers_5(config)) {
    config[tie_key] = false;
    spec = spec_of(*this, families);
    unread = unread_of(*this, spec, ignore);
  }
  if (!unread.others.empty()) fail_unread(*this, spec, unread.others);
  ignored_tensors = std::move(unread.ignored);
  warnings = spec.warnings;
  warnings.insert(warnings.end(), tokenizer.warnings().begin(), tokenizer.warnings().end());
}

void ModelFiles::attach(const std::string& adapter_directory) {
  adapter.emplace(adapter_directory);
  if (adapter->base_sha256 != model_sha256(checkpoint)) {
    fail(ErrorKind::data, "{} is an adapter (--adapter) of a model with other weights than {}",
         adapter_directory, path);
  }
  settings = read_gist_json(adapter_directory);
  if (!settings) {
    fail(ErrorKind::data, "{} has no gist.json, which says how the adapter was trained",
         adapter_directory);
  }
  tokenizer = Tokenizer::open(adapter_directory);
  const GistIds found = tokenizer.gist_ids();
  if (found.first != adapter->spec.gist_ids.first || found.count < adapter->spec.gist_ids.count) {
    fail(ErrorKind::data,
         "{}: the tokenizer has other gist tokens than the adapter: copy its files from the "
         "directory that gist train wrote",
         adapter_directory);
  }
}

}  // namespace gist
