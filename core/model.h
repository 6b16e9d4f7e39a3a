// A model: what a family declares (ModelSpec), its weights on a device, and the family itself,
// which knows how a layer is wired. core/forward.h walks it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/backend.h"

namespace gist {

/// WeightUse says how a weight is used, which decides how it is kept.
enum class WeightUse : std::uint8_t {
  matrix,  // [n, k], the right side of `linear`: packed
  table,   // [rows, d]: the embedding is kept as the file has it, a relative bias in f32
  vector,  // norms and biases: f32
};

/// An initializer says how a new weight starts when a model is trained from scratch.
struct Initializer {
  enum class Kind : std::uint8_t { normal, constant };
  Kind kind = Kind::normal;
  float value = 0;  // the deviation, or the constant
};

/// A weight as the checkpoint names it. A weight of scope `layer` has "{layer}" in its name and
/// exists once for each layer of its stack.
struct WeightSpec {
  std::string name;
  Shape shape;
  WeightUse use = WeightUse::matrix;
  std::optional<int> stack;  // of scope layer: the stack whose layers have it; else shared by all
  std::string tied_to;       // the shared weight whose values it has; "" for one of its own
  Initializer init;
  std::vector<std::string> other_names = {};  // what some checkpoints call it instead
  bool stored_transposed = false;             // the checkpoint's matrix is [k, n]
};

/// A bidirectional stack is an encoder: its tokens see those after them, too.
enum class StackKind : std::uint8_t { causal, bidirectional };

struct StackSpec {
  StackKind kind = StackKind::causal;
  int layers = 0;
  int heads = 0;
  int kv_heads = 0;
  int key_dim = 0;
  int value_dim = 0;
  bool reads_encoder = false;  // its layers have cross-attention to the output of stack 0
  // Of a causal stack: where attention is windowed, a query sees only the keys at fewer than so
  // many positions before it, itself included. 0: there is no window.
  int window = 0;

  // Floats a token, over all heads.
  std::int64_t query_width() const { return std::int64_t{heads} * key_dim; }
  std::int64_t key_width() const { return std::int64_t{kv_heads} * key_dim; }
  std::int64_t value_width() const { return std::int64_t{kv_heads} * value_dim; }
  std::int64_t output_width() const { return std::int64_t{heads} * value_dim; }
};

/// How a token's place enters its key: not at all (a bias of the scores may know it), by a rotation
/// of the key, or by what the token's hidden state was made of, so that the key stands there alone.
enum class KeyPosition : std::uint8_t { none, rotated, absolute };

/// logits = soft_cap(scale * (hidden weight^T + bias)).
struct HeadSpec {
  int weight = -1;  // index into ModelSpec::weights
  int bias = -1;    // likewise; -1: none
  float scale = 1;
  float soft_cap = 0;
};

struct ModelSpec {
  std::string family;        // "llama"
  std::string architecture;  // as in config.json
  int d_model = 0;
  int vocabulary = 0;     // rows of the embedding table
  int max_positions = 0;  // 0: unlimited
  KeyPosition key_position = KeyPosition::rotated;
  std::vector<StackSpec> stacks;    // a decoder's one, or an encoder's and its decoder's
  std::int32_t decoder_start = -1;  // of an encoder-decoder: the token before every answer
  std::vector<WeightSpec> weights;
  HeadSpec head;
  std::vector<std::string> warnings = {};  // what its user should know, a line each

  bool encoder_decoder() const { return stacks.size() == 2; }
  /// The stack that answers: its output is what the head reads. Gists stand in stack 0.
  int answering_stack() const { return static_cast<int>(stacks.size()) - 1; }
};

/// The name of a weight of scope layer in one layer.
std::string weight_name(const WeightSpec& spec, int layer);
/// Its other names there, those that matter first.
std::vector<std::string> other_weight_names(const WeightSpec& spec, int layer);
/// The shape that the checkpoint's tensor has.
Shape stored_shape(const Shape& shape, bool transposed);
/// Returns how many of a weight there are: one, or one for each layer of its stack.
int copies_of(const WeightSpec& weight, const ModelSpec& spec);

class Pass;

/// A model family, wired for one configuration. The implementation behind plugins is in
/// plugins/host. Callbacks are pure: the same arguments give the same tensors. They run on the
/// caller's thread.
class Family {
 public:
  virtual ~Family() = default;
  virtual const ModelSpec& spec() const = 0;
  /// The hidden states [n, d_model] that enter the stack.
  virtual Tensor enter(Pass& pass, int stack) = 0;
  virtual Tensor layer(Pass& pass, int stack, int layer, const Tensor& hidden) = 0;
  /// Returns what the head reads (for an encoder: what cross-attention reads).
  virtual Tensor leave(Pass& pass, int stack, const Tensor& hidden) = 0;
};

/// A WeightSource is where weights come from. `find` returns the tensor of that name, or nothing
/// where the source lacks it; `done` says that its memory will not be read again.
struct WeightSource {
  std::function<std::optional<HostTensor>(const std::string& name)> find;
  std::function<void(const std::string& name)> done;
  std::string description;  // for messages: the path
};

/// The source under the declared names, where it has some of the others.
WeightSource under_declared_names(const WeightSource& source, const ModelSpec& spec);

/// A weight of a source in the shape that the model has it in.
struct FoundWeight {
  HostTensor tensor;                // points into the source or into `turned`
  std::vector<std::byte> turned{};  // of a matrix that the source has transposed
};
/// Throws Error(data) naming the tensor, with both shapes, where it is missing or doesn't fit.
FoundWeight found_weight(const WeightSource& source, const std::string& name, const Shape& shape,
                         bool stored_transposed = false);

/// One weight, as its use demands: a packed matrix, or a tensor in a buffer of its own. In training
/// all weights are tensors, of parameters, with a gradient; a matrix is a view of one.
struct Weight {
  std::unique_ptr<Matrix> matrix;
  Buffer buffer;
  Tensor tensor;
  Tensor gradient;  // without data: the weight stays as it is
};

class Adapter;
class Parameters;

/// What weights that nothing changes are loaded for: passes forwards alone, or gradients of what
/// enters their products, too, for which matrices stand in f32 as they are.
enum class FrozenFor : std::uint8_t { inference, training };

class Model {
 public:
  /// Loads every declared weight. Throws Error(data) naming the tensor where one is missing, has
  /// another shape (with both), or holds a value that isn't finite.
  Model(std::unique_ptr<Family> family, Backend& backend, const WeightSource& source,
        FrozenFor use = FrozenFor::inference);
  /// A model to train: its weights are the parameters, which must outlive it.
  Model(std::unique_ptr<Family> family, const Parameters& parameters);
  Model(Model&&) noexcept;
  Model& operator=(Model&&) noexcept;
  ~Model();

  /// All passes that begin later go through it.
  void attach(std::unique_ptr<const Adapter> adapter);
  const Adapter* adapter() const { return adapter_.get(); }  // null: none

  const ModelSpec& spec() const { return family_->spec(); }
  Family& family() const { return *family_; }
  Backend& backend() const { return *backend_; }

  /// Weight `index` of spec().weights; `layer` matters only for those of scope layer.
  const Weight& weight(int index, int layer) const;
  /// Bytes that the weights take on the device, an adapter's included.
  std::size_t weight_bytes() const { return weight_bytes_; }

 private:
  std::unique_ptr<Family> family_;
  Backend* backend_;
  std::vector<std::vector<Weight>> weights_;  // [spec().weights][layers or 1]
  std::size_t weight_bytes_ = 0;
  std::unique_ptr<const Adapter> adapter_;
};

/// A source with the declared shapes and no data, for the meta backend.
WeightSource shapes_only(const ModelSpec& spec, Dtype dtype);

}  // namespace gist
