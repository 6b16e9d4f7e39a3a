// A model's directory, as commands open it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "cli/options.h"
#include "formats/checkpoint.h"
#include "formats/end_tokens.h"
#include "formats/model_directory.h"
#include "formats/tokenizer.h"

namespace gist {

/// A model directory, opened; nothing is loaded yet.
struct ModelFiles {
  std::string path;
  nlohmann::json config;  // as the checkpoint is to be read: see `opened`
  Checkpoint checkpoint;
  Tokenizer tokenizer;
  EndTokens ends;
  std::optional<GistSettings> settings;      // gist.json
  std::vector<std::string> ignored_tensors;  // of the checkpoint, by --ignore-tensors

  /// Throws Error(data or no_input) for what is no such directory, or one that gist can't use, and
  /// Error(data) where the checkpoint has tensors that the model doesn't read and --ignore-tensors
  /// doesn't name: they belong to another architecture. The architecture is looked at first.
  ///
  /// A head that is stored beside the embedding, with other values, is used as it is where
  /// transformers 5 wrote the configuration: it says "tie_word_embeddings" there nevertheless, and
  /// goes by the values. `config` then says false.
  ModelFiles(const std::string& directory, const Options& options);
};

/// --ignore-tensors.
OptionSpec ignore_tensors_option();

}  // namespace gist
