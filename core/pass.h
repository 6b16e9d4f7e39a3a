// One pass of one batch through a model: what the operations need to know besides their operands.
#pragma once

#include <cstdint>
#include <optional>
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

/// CrossInput is what the cross-attention of a pass reads.
struct CrossInput {
  Tensor rows;  // [m, d_model]: rows of the encoder's output that get keys and values in this pass
  KeyValueCache* cache = nullptr;         // where these go, and others stand; none: rows alone
  std::vector<std::int32_t> write_slots;  // [m] with a cache
};

/// Dropout of a training pass: the streams of a step are its own.
struct PassDropout {
  std::uint64_t seed = 0;
  std::uint64_t step = 0;  // of the run, below 2^32
  std::uint32_t pass = 0;  // of the step
};

/// PassOptions are what may be asked of a pass.
struct PassOptions {
  int stack = 0;
  KeyValueCache* cache = nullptr;  // keys are read from and written to it; none: the batch's own
  std::vector<std::int32_t> write_slots;  // [n] with a cache: the slot of each token's key
  std::vector<PlacedGist> placed;         // with a cache
  std::vector<std::int32_t> capture;      // tokens of the batch whose keys and values are kept
  CrossInput cross;                       // in a stack that reads the encoder
  std::optional<PassDropout> dropout;     // in training
};

/// The memory of passes that run one after the other.
struct Scratch {
  explicit Scratch(Backend& backend)
      : lasting(backend), layers{Workspace(backend), Workspace(backend)} {}
  Workspace lasting;    // the batch, and whatever outlives a layer
  Workspace layers[2];  // successive layers use them in turn
};

class Pass {
 public:
  /// Uploads the batch; what an earlier pass left in the scratch is gone. Model, scratch and cache
  /// must outlive the pass. Throws Error(data) for a token without a row in the embedding table.
  Pass(const Model& model, const Batch& batch, const PassOptions& options, Scratch& scratch);

  const Model& model() const { return *model_; }
  int stack_index() const { return stack_; }
  const StackSpec& stack() const { return model_->spec().stacks[static_cast<std::size_t>(stack_)]; }
  Backend& backend() const { return model_->backend(); }
  std::int64_t tokens() const { return ids_.shape[0]; }

  /// i32 [n]; where an adapter has rows of its own for the gist tokens, theirs are 0.
  const Tensor& ids() const { return ids_; }
  const Tensor& positions() const { return positions_; }  // i32 [n]
  /// The keys of one kind of attention, and where they stand.
  struct Attended {
    AttentionKeys keys;
    Tensor positions;                // i32 [list], of the keys, where they carry none themselves
    KeyValueCache* cache = nullptr;  // none: the slots are those of the pass' own keys
    Tensor write_slots;              // i32 [n] with a cache: where the pass' own keys go
  };
  const Attended& self() const { return self_; }
  /// The same within the stack's window.
  const Attended& windowed() const { return windowed_; }
  const Attended& cross() const { return cross_; }
  /// [m, d_model]: what the pass makes keys and values for cross-attention of.
  const Tensor& cross_rows() const { return cross_rows_; }
  /// Stored keys and values on the device, [layers, tokens, heads, dim]; `tokens` may be 0.
  struct Placed {
    Tensor positions, slots, key, value;
  };
  const Placed& placed() const { return placed_; }
  /// Captured is where the pass leaves the unrotated keys and values of the captured tokens:
  /// [layers, tokens, heads, dim]; `tokens` may be 0.
  struct Captured {
    Tensor tokens, key, value;
  };
  const Captured& captured() const { return captured_; }
  /// The rotation [positions, 2, pairs] of the batch's tokens, or of the placed ones: computed once
  /// a pass, as layers ask for the same.
  Tensor rotation(std::span<const float> inv_freq, float scale, const Tensor& positions);

  /// The pass' gist tokens, on which an adapter acts.
  struct Adapted {
    const Adapter* adapter = nullptr;  // null: there is none, or no gist token
    Tensor tokens;                     // i32 [g] of the pass
    Tensor rows;                       // i32 [g] theirs in the adapter's table
  };
  const Adapted& adapted() const { return adapted_; }

  /// Memory that lives until the end of the pass.
  Workspace& lasting() { return scratch_->lasting; }
  /// Memory of the layer that is running: it lives until the layer after it ends, or, where a tape
  /// runs, until that has run backwards.
  Workspace& layer_memory() { return *layer_memory_; }
  int layer() const { return layer_; }
  /// Returns where operations record their gradients; null outside training.
  Tape* tape() const { return tape_; }
  /// A dropout of its own for the next operation that asks; with probability 0 outside training. A
  /// layer that is computed again asks in the same order, and gets the same.
  Dropout next_dropout(float probability);

  /// Starts a part, `enter`, a layer or `leave`, with the weights of `layer`: the memory of the
  /// last but one becomes free. `part` tells its dropouts from other parts'.
  void begin_part(int part, int layer);
  /// The same for a part whose tensors stay in `memory` and whose operations are recorded.
  void begin_recorded_part(int part, int layer, Workspace& memory, Tape& tape);

 private:
  void begin(int part, int layer, Workspace& memory, Tape* tape);

  const Model* model_;
  Scratch* scratch_;
  int stack_;
  int turn_ = 0;
  Workspace* layer_memory_;
  int part_ = 0;
  int layer_ = 0;
  std::uint32_t part_dropouts_ = 0;  // that the running part has asked for
  Tape* tape_ = nullptr;
  std::optional<PassDropout> dropout_;
  Tensor ids_, positions_;
  Adapted adapted_;
  Attended self_, windowed_, cross_;
  Tensor cross_rows_;
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
