// A pass of one sequence, callback by callback, with the hidden states on the host between them.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/forward.h"

namespace gist {

/// One pass through one stack. Callback 0 is `enter`, then come the layers, then `leave`.
class Walk {
 public:
  /// `encoded` [m, d_model]: of a stack that reads another, what that one left; every token sees all
  /// of it. The model must outlive the walk.
  Walk(const Model& model, int stack, const std::vector<std::int32_t>& ids,
       const std::vector<float>& encoded = {});
  Walk(const Walk&) = delete;
  Walk& operator=(const Walk&) = delete;
  ~Walk() = default;

  int callbacks() const { return pass_.stack().layers + 2; }
  /// Runs a callback on hidden states [n, d_model], which `enter` doesn't read. Throws what the
  /// family throws.
  std::vector<float> run(int callback, const std::vector<float>& hidden);

 private:
  Scratch scratch_;
  Workspace given_;
  Pass pass_;
};

/// "layer 3", or, of an encoder-decoder, "layer 3 of the decoder".
std::string callback_name(const ModelSpec& spec, int stack, int callback);

/// What the head makes of hidden states [n, d_model]: [n, vocabulary].
std::vector<float> head_logits(const Model& model, const std::vector<float>& hidden);

/// What one callback gave: [n, d_model], or, last of all, the head: [n, vocabulary].
struct CallbackValues {
  std::string callback;
  std::vector<float> values;
};

/// A whole pass over tokens drawn at random, as many as every check's configuration has places for:
/// the decoder of an encoder-decoder reads others.
class WholeWalk {
 public:
  /// The model must outlive the walk.
  explicit WholeWalk(const Model& model);
  /// Runs the next callback, or the head. False where all have run.
  bool step();
  const std::vector<CallbackValues>& found() const { return found_; }

 private:
  const Model& model_;
  std::vector<std::int32_t> ids_;
  int stack_ = 0;
  int callback_ = 0;
  std::unique_ptr<Walk> walk_;
  std::vector<float> hidden_;
  std::vector<CallbackValues> found_;
};
/// All of it.
std::vector<CallbackValues> walk_all(const Model& model);

constexpr int walked_tokens = 32;
/// Token ids drawn at random, walked_tokens or as many as the model has places for: the same for the
/// same sizes.
std::vector<std::int32_t> random_ids(const ModelSpec& spec);

}  // namespace gist
