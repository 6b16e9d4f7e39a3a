// The model that training starts from, and what it becomes.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "cli/options.h"
#include "core/parameters.h"
#include "formats/model/checkpoint.h"
#include "formats/model/end_tokens.h"
#include "formats/model/model_directory.h"
#include "formats/model/tokenizer.h"

namespace gist {

/// A Hugging Face directory (--model), or a configuration and a tokenizer (--init, --tokenizer).
struct BaseModel {
  std::string name;                      // for messages: its path
  std::filesystem::path tokenizer_path;  // a directory or a vocabulary file
  std::filesystem::path directory;       // of --model
  Tokenizer tokenizer;
  EndTokens ends;
  std::optional<Checkpoint> checkpoint;  // of --model
  std::optional<GistSettings> settings;  // of --model
  nlohmann::json config;                 // of the result: its vocabulary has room for the gist
  std::vector<std::string> ignored_tensors = {};  // left out, now or when the base was trained
  std::int64_t rows = 0;  // of the base's embedding table; see fit_vocabulary

  /// The gist token's id: that of the tokenizer, or the next that is free.
  std::int32_t gist_token() const;
  bool gist_token_is_new() const { return !tokenizer.gist_token().has_value(); }
};

/// Throws Error(usage) unless the options name either kind, and as ModelFiles.
BaseModel base_model(const Options& options);

/// Gives config.json's vocabulary room for the gist token, where the model is to have one. Throws
/// Error(data) where it is smaller than the vocabulary file's.
void fit_vocabulary(BaseModel& base, bool with_gist_token);

/// Fills the parameters with the base's weights, with a row for a new gist token, or with new ones.
void fill(Parameters& parameters, const BaseModel& base, const ModelSpec& spec,
          bool with_gist_token, std::uint64_t seed);

}  // namespace gist
