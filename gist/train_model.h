// The model that training starts from, and what it becomes.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "core/adapter.h"
#include "core/gist_ids.h"
#include "core/new_token.h"
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
  // What fit_vocabulary finds:
  std::int64_t rows = 0;        // of the base's embedding table
  GistIds gist_ids = {};        // of the result's gist tokens
  NewTokens new_gist_ids = {};  // those that the base lacks, and what they start from
  /// What is trained in place of the model's own weights; new_gist_ids are then all gist tokens.
  std::optional<AdapterSpec> adapter = {};
};

/// Training starts from a model directory that open_model has opened.
BaseModel base_from_model(ModelFiles files);
/// Training starts from new weights of a configuration, config.json, and a tokenizer: a directory
/// or a vocabulary file. Throws Error(no_input or data) for what is none.
BaseModel base_from_config(const std::filesystem::path& config,
                           const std::filesystem::path& tokenizer);

/// Gives config.json's vocabulary room for `gist_ids` distinct ids of gist tokens, of which the
/// model may need new ones; 0: it has no gist tokens. A new id starts from the mean of the rows of
/// one of the `words`, in the order of the ids; without words, from the row of the last id that the
/// base has; where it has none, from the mean of its part of the tokenizer's rows, which are split
/// in as many parts, in the order of their ids, as there are new ids. Throws Error(data) where the
/// vocabulary is smaller than the vocabulary file's, and as gist_ids_in
/// (formats/model/gist_token.h); Error(usage) where there are more or fewer words than new ids, or
/// the tokenizer has no tokens for one.
///
/// With an `adapter`, whose gist_ids are found here, the vocabulary stays as it is.
void fit_vocabulary(BaseModel& base, std::int32_t gist_ids,
                    const std::vector<std::string>& words = {},
                    const std::optional<AdapterSpec>& adapter = std::nullopt);
/// What fit_vocabulary did, for people: "<GIST> is kept; <GIST1> to <GIST3> (ids from 513) are new,
/// each starting from <GIST>"; "" where that is as always, one new id or none.
std::string gist_ids_in_words(const BaseModel& base, const std::vector<std::string>& words);

/// What is trained: the adapter's parameters, or the model's. Throws as adapter_parameters.
std::vector<Parameter> trained_parameters(const BaseModel& base, const ModelSpec& spec);
/// Fills them with the base's weights, with rows for new gist tokens, or with new ones.
void fill(Parameters& parameters, const BaseModel& base, const ModelSpec& spec, std::uint64_t seed);
/// The model that is trained: the parameters are its weights, or those of its adapter, and its own
/// stay as they are. The parameters must outlive it.
Model trained_model(std::unique_ptr<Family> family, const BaseModel& base,
                    const Parameters& parameters);

/// Returns a name of what a run starts from, for comparison: the hash of weights, configuration and
/// tokenizer.
std::string fingerprint_of(const BaseModel& base);

}  // namespace gist
