// The model that training starts from, and what it becomes.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "core/parameters.h"
#include "formats/model/checkpoint.h"
#include "formats/model/end_tokens.h"
#include "formats/model/model_directory.h"
#include "formats/model/model_files.h"
#include "formats/model/tokenizer.h"

namespace gist {

/// A Hugging Face directory, or a configuration and a tokenizer without any weights.
struct BaseModel {
  std::string name;                      // for messages: its path
  std::filesystem::path tokenizer_path;  // a directory or a vocabulary file
  std::filesystem::path directory;       // the Hugging Face directory; "" where there is none
  Tokenizer tokenizer;
  EndTokens ends;
  std::optional<Checkpoint> checkpoint;  // of the directory
  std::optional<GistSettings> settings;  // of the directory
  nlohmann::json config;                 // of the result: its vocabulary has room for the gist
  std::vector<std::string> ignored_tensors = {};  // left out, now or when the base was trained
  std::int64_t rows = 0;  // of the base's embedding table; see fit_vocabulary

  /// The gist token's id: that of the tokenizer, or the next that is free.
  std::int32_t gist_token() const;
  bool gist_token_is_new() const { return !tokenizer.gist_token().has_value(); }
};

/// Training starts from a model directory that open_model has opened.
BaseModel base_from_model(ModelFiles files);
/// Training starts from new weights of a configuration, config.json, and a tokenizer: a directory
/// or a vocabulary file. Throws Error(no_input or data) for what is none.
BaseModel base_from_config(const std::filesystem::path& config,
                           const std::filesystem::path& tokenizer);

/// Gives config.json's vocabulary room for the gist token, where the model is to have one. Throws
/// Error(data) where it is smaller than the vocabulary file's.
void fit_vocabulary(BaseModel& base, bool with_gist_token);

/// Fills the parameters with the base's weights, with a row for a new gist token, or with new ones.
void fill(Parameters& parameters, const BaseModel& base, const ModelSpec& spec,
          bool with_gist_token, std::uint64_t seed);

/// Returns a name of what a run starts from, for comparison: the hash of weights, configuration and
/// tokenizer.
std::string fingerprint_of(const BaseModel& base);

}  // namespace gist
