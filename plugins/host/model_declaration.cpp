#include "plugins/host/model_declaration.h"

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>

#include "kernels/error.h"
#include "plugins/host/loader.h"

namespace gist {
namespace {

// Far beyond any model, and small enough that products of two stay within 64 bits.
constexpr std::int64_t most_layers = 10'000;
constexpr std::int64_t most_heads = 100'000;
constexpr std::int64_t largest_dim = std::int64_t{1} << 30;
constexpr std::int64_t most_elements = std::int64_t{1} << 44;
constexpr std::uint32_t most_weights = 100'000;
constexpr std::string_view layer_mark = "{layer}";

int checked_size(std::string_view what, std::int64_t value, std::int64_t largest,
                 std::int64_t least = 1) {
  if (value < least || value > largest) {
    fail(ErrorKind::unavailable, "{} is {}, expected {} to {}", what, value, least, largest);
  }
  return static_cast<int>(value);
}

float checked_number(std::string_view what, float value) {
  if (!std::isfinite(value)) fail(ErrorKind::unavailable, "{} is {}", what, value);
  return value;
}

/// Elements of an array from the plugin, which stand as far apart as the first says it is long.
template <typename T>
T element(const T* array, std::uint32_t index, std::string_view what) {
  const std::uint32_t stride = array->size;
  const auto* at = reinterpret_cast<const std::byte*>(array) + std::size_t{index} * stride;
  const std::uint32_t size = *reinterpret_cast<const std::uint32_t*>(at);
  if (stride < first_size<T> || stride > largest_struct || stride % alignof(T) != 0 ||
      size != stride) {
    fail(ErrorKind::unavailable, "{} {} says it is {} bytes, expected {}", what, index, size,
         sizeof(T));
  }
  return copied_struct<T>(at, size);
}

StackSpec checked_stack(const gist_stack& stack, std::size_t index) {
  const auto size = [&](const char* what, std::int32_t value, std::int64_t largest) {
    return checked_size(fmt::format("stack {}: {}", index, what), value, largest);
  };
  StackSpec spec;
  spec.kind = stack.kind == GIST_STACK_CAUSAL ? StackKind::causal : StackKind::bidirectional;
  spec.reads_encoder = stack.reads != GIST_NONE;
  spec.layers = size("layers", stack.layers, most_layers);
  spec.heads = size("heads", stack.heads, most_heads);
  spec.kv_heads = size("kv_heads", stack.kv_heads, most_heads);
  spec.key_dim = size("key_dim", stack.key_dim, most_heads);
  spec.value_dim = size("value_dim", stack.value_dim, most_heads);
  spec.window = checked_size(fmt::format("stack {}: window", index), stack.window, INT32_MAX, 0);
  if (spec.window > 0 && spec.kind != StackKind::causal) {
    fail(ErrorKind::unavailable, "stack {}: window is {}, expected 0 in a bidirectional stack",
         index, spec.window);
  }
  if (spec.heads % spec.kv_heads != 0) {
    fail(ErrorKind::unavailable, "stack {}: kv_heads is {}, expected a divisor of heads ({})",
         index, spec.kv_heads, spec.heads);
  }
  return spec;
}

/// A causal stack, or a bidirectional one and a causal one that reads it.
std::vector<StackSpec> checked_stacks(const gist_model& model) {
  const std::uint32_t count = model.stacks == nullptr ? 0 : model.n_stacks;
  if (count != 1 && count != 2) {
    fail(ErrorKind::unavailable, "{} stacks are declared, expected 1 or 2", count);
  }
  std::vector<StackSpec> stacks;
  for (std::uint32_t i = 0; i < count; ++i) {
    const gist_stack stack = element(model.stacks, i, "stack");
    const bool encoder = count == 2 && i == 0;
    const std::uint32_t kind = encoder ? GIST_STACK_BIDIRECTIONAL : GIST_STACK_CAUSAL;
    const std::int32_t reads = i == 1 ? 0 : GIST_NONE;
    if (stack.kind != kind || stack.reads != reads) {
      fail(ErrorKind::unavailable,
           "stack {} of {} has kind {} and reads {}, expected kind {} and {}: this gist knows "
           "decoders and encoder-decoders",
           i, count, stack.kind, stack.reads, kind, reads);
    }
    stacks.push_back(checked_stack(stack, i));
  }
  return stacks;
}

KeyPosition checked_key_position(const gist_model& model) {
  switch (model.key_position) {
    case GIST_KEYS_WITHOUT_POSITION:
      return KeyPosition::none;
    case GIST_KEYS_ROTATED:
      return KeyPosition::rotated;
    case GIST_KEYS_ABSOLUTE:
      if (model.max_positions > 0 && model.n_stacks == 1) return KeyPosition::absolute;
      fail(
          ErrorKind::unavailable,
          "absolute positions with max_positions {} and {} stacks, expected a decoder with a bound",
          model.max_positions, model.n_stacks);
    default:
      fail(ErrorKind::unavailable, "key_position is {}, which this gist doesn't know",
           model.key_position);
  }
}

WeightUse checked_use(const std::string& name, const gist_weight& weight) {
  switch (weight.use) {
    case GIST_USE_MATRIX:
      return WeightUse::matrix;
    case GIST_USE_TABLE:
      return WeightUse::table;
    case GIST_USE_VECTOR:
      return WeightUse::vector;
    default:
      fail(ErrorKind::unavailable, "weight \"{}\" has use {}, which this gist doesn't know", name,
           weight.use);
  }
}

Shape checked_shape(const std::string& name, const gist_weight& weight, WeightUse use) {
  const std::uint32_t rank = use == WeightUse::vector ? 1 : 2;
  if (weight.rank != rank) {
    fail(ErrorKind::unavailable, "weight \"{}\" has rank {}, expected {} for its use", name,
         weight.rank, rank);
  }
  Shape shape;
  shape.rank = static_cast<int>(rank);
  for (std::uint32_t i = 0; i < rank; ++i) {
    if (weight.shape[i] < 1 || weight.shape[i] > largest_dim) {
      fail(ErrorKind::unavailable, "weight \"{}\": dimension {} is {}, expected 1 to {}", name, i,
           weight.shape[i], largest_dim);
    }
    shape.dims[i] = weight.shape[i];
  }
  if (shape.elements() > most_elements) {
    fail(ErrorKind::unavailable, "weight \"{}\" has {} elements, expected at most {}", name,
         shape.elements(), most_elements);
  }
  return shape;
}

Initializer checked_initializer(const std::string& name, const gist_weight& weight) {
  switch (weight.init) {
    case GIST_INIT_NORMAL:
      if (!(weight.init_value >= 0) || !std::isfinite(weight.init_value)) break;
      return {Initializer::Kind::normal, weight.init_value};
    case GIST_INIT_CONSTANT:
      if (!std::isfinite(weight.init_value)) break;
      return {Initializer::Kind::constant, weight.init_value};
    default:
      break;
  }
  fail(ErrorKind::unavailable, "weight \"{}\" starts from init {} with {}, which is no start", name,
       weight.init, weight.init_value);
}

/// How often the layer's number stands in a weight's name.
int times_marked(const std::string& name) {
  int times = 0;
  for (std::size_t at = name.find(layer_mark); at != std::string::npos;
       at = name.find(layer_mark, at + 1)) {
    ++times;
  }
  return times;
}

WeightSpec checked_weight(const gist_weight& weight, std::uint32_t index, std::size_t stacks) {
  WeightSpec spec;
  spec.name = checked_text(weight.name, fmt::format("the name of weight {}", index));
  const int marks = times_marked(spec.name);
  if (weight.stack == GIST_NONE) {
    if (marks != 0) {
      fail(ErrorKind::unavailable, "weight \"{}\" has {{layer}} in its name, but names no stack",
           spec.name);
    }
  } else {
    if (weight.stack < 0 || static_cast<std::size_t>(weight.stack) >= stacks) {
      fail(ErrorKind::unavailable, "weight \"{}\" belongs to stack {}, but there are {}", spec.name,
           weight.stack, stacks);
    }
    if (marks != 1) {
      fail(ErrorKind::unavailable,
           "weight \"{}\" belongs to a stack's layers, so {{layer}} must stand once in its name",
           spec.name);
    }
    spec.stack = weight.stack;
  }
  spec.use = checked_use(spec.name, weight);
  spec.shape = checked_shape(spec.name, weight, spec.use);
  spec.init = checked_initializer(spec.name, weight);
  constexpr std::uint32_t most_names = 64;
  if (weight.n_other_names > most_names ||
      (weight.n_other_names > 0 && weight.other_names == nullptr)) {
    fail(ErrorKind::unavailable, "weight \"{}\" has {} other names{}, expected 0 to {}", spec.name,
         weight.n_other_names, weight.other_names == nullptr ? " at no place" : "", most_names);
  }
  for (std::uint32_t i = 0; i < weight.n_other_names; ++i) {
    const std::string& other = spec.other_names.emplace_back(
        checked_text(weight.other_names[i], fmt::format("other name {} of \"{}\"", i, spec.name)));
    if (times_marked(other) != (spec.stack ? 1 : 0)) {
      fail(
          ErrorKind::unavailable,
          "weight \"{}\" has the other name \"{}\", which should have {{layer}} where the name has",
          spec.name, other);
    }
  }
  if (weight.tied_to != nullptr) {
    spec.tied_to = checked_text(weight.tied_to, fmt::format("tied_to of \"{}\"", spec.name));
  }
  spec.stored_transposed = weight.stored_transposed != 0;
  if (spec.stored_transposed && (spec.use != WeightUse::matrix || !spec.tied_to.empty())) {
    fail(ErrorKind::unavailable,
         "weight \"{}\" is stored transposed, but is {}: expected a matrix of its own", spec.name,
         spec.tied_to.empty() ? "no matrix" : "tied");
  }
  return spec;
}

void check_ties(const std::vector<WeightSpec>& weights) {
  std::map<std::string, const WeightSpec*> by_name;
  for (const WeightSpec& weight : weights) {
    if (!by_name.emplace(weight.name, &weight).second) {
      fail(ErrorKind::unavailable, "two weights have the name \"{}\"", weight.name);
    }
  }
  for (const WeightSpec& weight : weights) {
    if (weight.tied_to.empty()) continue;
    const auto found = by_name.find(weight.tied_to);
    if (found == by_name.end()) {
      fail(ErrorKind::unavailable, "weight \"{}\" is tied to \"{}\", which is not declared",
           weight.name, weight.tied_to);
    }
    const WeightSpec& source = *found->second;
    if (weight.stack || source.stack || !source.tied_to.empty()) {
      fail(ErrorKind::unavailable,
           "weight \"{}\" is tied to \"{}\": both must be shared by all layers, and the latter not "
           "tied itself",
           weight.name, source.name);
    }
    if (!(weight.shape == source.shape)) {
      fail(ErrorKind::unavailable, "weight \"{}\" has shape {}, but is tied to \"{}\" of shape {}",
           weight.name, to_string(weight.shape), source.name, to_string(source.shape));
    }
  }
}

/// A weight that the head names: shared, and of this use and shape.
int checked_head(std::string_view what, std::int32_t index, const ModelSpec& spec, WeightUse use,
                 const Shape& shape) {
  if (index < 0 || static_cast<std::size_t>(index) >= spec.weights.size()) {
    fail(ErrorKind::unavailable, "{} is weight {}, but there are {}", what, index,
         spec.weights.size());
  }
  const WeightSpec& weight = spec.weights[static_cast<std::size_t>(index)];
  if (weight.stack || weight.use != use || weight.stored_transposed || !(weight.shape == shape)) {
    fail(
        ErrorKind::unavailable,
        "{} is weight \"{}\" of shape {}, expected a {} of shape {} that no layer owns and that is "
        "stored as it is",
        what, weight.name, to_string(weight.shape), use == WeightUse::matrix ? "matrix" : "vector",
        to_string(shape));
  }
  return index;
}

}  // namespace

ModelSpec checked_declaration(const gist_model& model) {
  if (model.size < sizeof(gist_model)) {
    fail(ErrorKind::unavailable, "gist_model.size was overwritten with {}", model.size);
  }
  ModelSpec spec;
  spec.d_model = checked_size("d_model", model.d_model, largest_dim);
  spec.vocabulary = checked_size("vocabulary", model.vocabulary, largest_dim);
  spec.max_positions = checked_size("max_positions", model.max_positions, INT32_MAX, 0);
  spec.key_position = checked_key_position(model);
  spec.stacks = checked_stacks(model);
  if (spec.encoder_decoder()) {
    spec.decoder_start = checked_size("decoder_start", model.decoder_start, spec.vocabulary - 1, 0);
  }

  if (model.n_weights == 0 || model.n_weights > most_weights || model.weights == nullptr) {
    fail(ErrorKind::unavailable, "{} weights are declared, expected 1 to {}",
         model.weights == nullptr ? 0 : model.n_weights, most_weights);
  }
  for (std::uint32_t i = 0; i < model.n_weights; ++i) {
    spec.weights.push_back(
        checked_weight(element(model.weights, i, "weight"), i, spec.stacks.size()));
  }
  check_ties(spec.weights);

  spec.head.weight = checked_head("head_weight", model.head_weight, spec, WeightUse::matrix,
                                  {spec.vocabulary, spec.d_model});
  if (model.head_bias != GIST_NONE) {
    spec.head.bias =
        checked_head("head_bias", model.head_bias, spec, WeightUse::vector, {spec.vocabulary});
  }
  spec.head.scale = checked_number("head_scale", model.head_scale);
  if (spec.head.scale == 0) {
    fail(ErrorKind::unavailable,
         "head_scale is 0, so it was never set: 1 leaves logits as they are");
  }
  spec.head.soft_cap = checked_number("head_soft_cap", model.head_soft_cap);
  if (spec.head.soft_cap < 0) {
    fail(ErrorKind::unavailable, "head_soft_cap is {}, expected 0 or more", spec.head.soft_cap);
  }
  return spec;
}

}  // namespace gist
