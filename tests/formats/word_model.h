// The small gist model of tests/fixtures, opened, with the family that the engine's tests run on.
#pragma once

#include <memory>
#include <string>

#include "formats/model/model_files.h"
#include "formats/sequences/gisting.h"
#include "kernels/error.h"
#include "tests/core/llama_family.h"
#include "tests/formats/test_support.h"

namespace gist::testing {

/// Serves what config.json of a LLaMA says, and nothing else.
inline std::unique_ptr<Family> llama_family(const nlohmann::json& config,
                                            const std::string& where) {
  if (config.value("model_type", "") != "llama") {
    fail(ErrorKind::data, "{}: no family serves it", where);
  }
  LlamaShape shape;
  shape.d_model = config["hidden_size"];
  shape.mlp_dim = config["intermediate_size"];
  shape.vocabulary = config["vocab_size"];
  shape.layers = config["num_hidden_layers"];
  shape.heads = config["num_attention_heads"];
  shape.kv_heads = shape.heads;
  shape.max_positions = config["max_position_embeddings"];
  shape.tied = config["tie_word_embeddings"];
  return std::make_unique<LlamaFamily>(shape);
}

struct WordModel {
  ModelFiles files{(fixtures / "models/wordtasks-llama-gist").string(), llama_family};
  ModelSpec spec = llama_family(files.config, files.path)->spec();
  /// Returns what the model's gist.json says.
  Gisting gisting() const {
    return {files.settings->condition, files.settings->gist_tokens,
            files.settings->prompt_template};
  }
};

}  // namespace gist::testing
