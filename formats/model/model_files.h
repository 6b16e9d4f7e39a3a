// A model's directory, or GGUF file, opened.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "core/model.h"
#include "formats/model/adapter_directory.h"
#include "formats/model/checkpoint.h"
#include "formats/model/end_tokens.h"
#include "formats/model/model_directory.h"
#include "formats/model/tokenizer.h"

namespace gist {

/// Gives the family that serves a configuration, as plugins/host/plugin_host.h's load_family does;
/// `where` names it in messages. Throws Error(data) where none does.
using FamilyFinder =
    std::function<std::unique_ptr<Family>(const nlohmann::json& config, const std::string& where)>;

/// A model directory, or what gguf_file_of (model_kind.h) takes for a GGUF file, opened; nothing is
/// loaded yet.
struct ModelFiles {
  std::string path;
  nlohmann::json config;  // as the checkpoint is to be read: see the constructor
  Checkpoint checkpoint;
  Tokenizer tokenizer;
  EndTokens ends;
  std::optional<GistSettings> settings;      // gist.json
  std::vector<std::string> ignored_tensors;  // of the checkpoint, as was asked
  std::optional<AdapterFiles> adapter = {};  // through which it reads gist tokens
  /// Of the model's own tokenizer, to which that of an adapter adds the gist tokens.
  std::string base_tokenizer_sha256;
  std::vector<std::string> warnings;  // of the configuration and the tokenizer, a line each

  /// Throws Error(data or no_input) for what is no such directory, or one that gist can't use, and
  /// Error(data) where the checkpoint has tensors that the model doesn't read and that none of the
  /// patterns `ignore` matches: they belong to another architecture. The architecture is looked at
  /// first.
  ///
  /// A head that is stored beside the embedding, with other values, is used as it is where
  /// transformers 5 wrote the configuration: it says "tie_word_embeddings" there nevertheless, and
  /// goes by the values. `config` then says false.
  ModelFiles(const std::string& directory, const FamilyFinder& families,
             const std::vector<std::string>& ignore = {});

  /// Adds an adapter, from whose directory tokenizer and settings then are. Throws as AdapterFiles,
  /// and Error(data) where it was trained for another model.
  void attach(const std::string& adapter_directory);
};

}  // namespace gist
