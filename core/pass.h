// One pass of one batch through a model: what the operations need to know besides their operands.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/batch.h"
#include "core/gist_activations.h"
#include "core/model.h"
#include "core/workspace.h"

namespace gist {

class KeyValueCache;
class Tape;

/// A stored gist that joins the cache before the pass' own keys.
struct PlacedGist {
  const GistActivations* activations;
  std::int32_t position;            // where its first token stands in its row
  std::vector<std::int32_t> slots;  // [tokens] in the cache
};

/// What may be asked of a pass.
struct PassOptions {
  KeyValueCache* cache = nullptr;  // keys are read from and written to it; none: the batch's own
  std::vector<std::int32_t> write_slots;  // [n] with a cache: the slot of each token's key
  std::vector<PlacedGist> placed;         // with a cache
  std::vector<std::int32_t> capture;      // tokens of the batch whose keys and values are kept
};

/// The memory of the passes of one engine, which run one after the other.
struct Scratch {
  explicit Scratch(Backend& backend)
      : lasting(backend), layers{Workspace(backend), Workspace(backend)} {}
  Workspace lasting;    // the batch, and whatever outlives a layer
  Workspace layers[2];  // successive layers use them in turn
};

class Pass {
 public:
  /// Uploads the batch; everything an earlier pass left in the scratch is gone. Model, scratch and
  /// cache must outlive the pass.
  Pass(const Model& model, const Batch& batch, const PassOptions& options, Scratch& scratch);

  const Model& model() const { return *model_; }
  Backend& backend() const { return model_->backend(); }
  std::int64_t tokens() const { return ids_.shape[0]; }

  const Tensor& ids() const { return ids_; }              // i32 [n]
  const Tensor& positions() const { return positions_; }  // i32 [n]
  const AttentionKeys& keys() const { return keys_; }
  KeyValueCache* cache() const { return cache_; }
  const Tensor& write_slots() const { return write_slots_; }
  /// Stored keys and values on the device, [layers, tokens, heads, dim]; `tokens` may be 0.
  struct Placed {
    Tensor positions, slots, key, value;
  };
  const Placed& placed() const { return placed_; }
  /// Where the pass leaves the unrotated keys and values of the captured tokens: [layers, tokens,
  /// heads, dim]; `tokens` may be 0.
  struct Captured {
    Tensor tokens, key, value;
  };
  const Captured& captured() const { return captured_; }
  /// The rotation [positions, 2, pairs] of the batch's tokens, or of the placed ones: computed once
  /// a pass, as layers ask for the same.
  Tensor rotation(std::span<const float> inv_freq, float scale, const Tensor& positions);

  /// Memory that lives until the end of the pass.
  Workspace& lasting() { return scratch_->lasting; }
  /// Memory of the layer that is running: it lives until the layer after it ends, or, where a tape
  /// runs, until that has run backwards.
  Workspace& layer_memory() { return *layer_memory_; }
  int layer() const { return layer_; }
  /// Where operations record their gradients; null outside training.
  Tape* tape() const { return tape_; }

  /// Starts a layer: the memory of the last but one becomes free.
  void begin_layer(int layer);
  /// Starts a layer whose tensors stay in `memory` and whose operations are recorded.
  void begin_recorded_layer(int layer, Workspace& memory, Tape& tape);

 private:
  const Model* model_;
  Scratch* scratch_;
  int turn_ = 0;
  Workspace* layer_memory_;
  int layer_ = 0;
  Tape* tape_ = nullptr;
  KeyValueCache* cache_;
  Tensor ids_, positions_, write_slots_;
  AttentionKeys keys_;
  Placed placed_;
  Captured captured_;
  struct Rotation {
    std::vector<float> inv_freq;
    float scale;
    const void* positions;
    Tensor table;
  };
  std::vector<Rotation> rotations_;
};

}  // namespace gist
