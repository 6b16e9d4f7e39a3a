#include "plugins/host/op_table.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <initializer_list>
#include <span>
#include <string_view>

#include "core/ops/ops.h"
#include "plugins/host/loader.h"
#include "plugins/host/running_callback.h"

namespace gist {
namespace {

const WeightSpec& weight_spec(const gist_pass& running, std::int32_t index, WeightUse use,
                              const char* use_name) {
  const std::vector<WeightSpec>& weights = running.pass->model().spec().weights;
  if (index < 0 || static_cast<std::size_t>(index) >= weights.size()) {
    fail(ErrorKind::unavailable, "weight {} is not one of the {} declared", index, weights.size());
  }
  const WeightSpec& spec = weights[static_cast<std::size_t>(index)];
  if (spec.use != use) {
    fail(ErrorKind::unavailable, "weight \"{}\" is not declared as a {}", spec.name, use_name);
  }
  if (spec.stack && !running.in_layer) {
    fail(ErrorKind::unavailable, "weight \"{}\" belongs to layers, and none runs", spec.name);
  }
  if (spec.stack && *spec.stack != running.pass->stack_index()) {
    fail(ErrorKind::unavailable,
         "weight \"{}\" belongs to the layers of stack {}, not to those of {}", spec.name,
         *spec.stack, running.pass->stack_index());
  }
  return spec;
}

void expect_width(const char* what, const Tensor& x, std::int64_t width, const WeightSpec& weight) {
  if (x.shape[1] != width) {
    fail(ErrorKind::unavailable, "{} {} doesn't fit weight \"{}\" {}", what, to_string(x.shape),
         weight.name, to_string(weight.shape));
  }
}

void expect_equal(const Tensor& a, const Tensor& b) {
  if (!(a.shape == b.shape)) {
    fail(ErrorKind::unavailable, "shapes {} and {} differ", to_string(a.shape), to_string(b.shape));
  }
}

std::string shapes_of(const gist_pass& running, std::initializer_list<gist_tensor> inputs) {
  std::string shapes;
  for (const gist_tensor input : inputs) {
    shapes += shapes.empty() ? " of " : ", ";
    shapes += to_string(running.tensor(input).shape);
  }
  return shapes;
}

/// Runs an operation unless one failed before or an input is poisoned, and keeps its failure.
template <typename Body>
gist_tensor guarded(gist_pass* running, const char* op, std::initializer_list<gist_tensor> inputs,
                    const Body& body) {
  if (running == nullptr || running->failure) return 0;
  if (std::find(inputs.begin(), inputs.end(), 0U) != inputs.end()) return 0;
  const HostOperation host;
  std::string where = op;
  ErrorKind kind = ErrorKind::unavailable;
  std::string message;
  try {
    if (running->pass == nullptr) {
      fail(ErrorKind::unavailable, "called while no callback of its model runs");
    }
    where += shapes_of(*running, inputs);
    return running->add(body());
  } catch (const Error& error) {
    // A shape that the engine refuses is the family's mistake, not a bug of the engine.
    if (error.kind() != ErrorKind::internal) kind = error.kind();
    message = error.what();
  } catch (const std::exception& error) {
    kind = ErrorKind::internal;
    message = error.what();
  }
  running->failure = gist_pass::Failure{kind, where + ": " + message};
  return 0;
}

gist_tensor embedding_op(gist_pass* running, std::int32_t table) {
  return guarded(running, "embedding", {}, [&] {
    const WeightSpec& spec = weight_spec(*running, table, WeightUse::table, "table");
    const ModelSpec& model = running->pass->model().spec();
    if (spec.shape[0] != model.vocabulary) {
      fail(ErrorKind::unavailable, "table \"{}\" {} has other rows than the vocabulary, {}",
           spec.name, to_string(spec.shape), model.vocabulary);
    }
    return embedding(*running->pass, table);
  });
}

gist_tensor linear_op(gist_pass* running, gist_tensor x, std::int32_t weight, std::int32_t bias) {
  return guarded(running, "linear", {x}, [&] {
    const WeightSpec& matrix = weight_spec(*running, weight, WeightUse::matrix, "matrix");
    expect_width("x", running->tensor(x), matrix.shape[1], matrix);
    if (bias != GIST_NONE) {
      const WeightSpec& vector = weight_spec(*running, bias, WeightUse::vector, "vector");
      if (vector.shape[0] != matrix.shape[0]) {
        fail(ErrorKind::unavailable, "bias \"{}\" {} doesn't fit weight \"{}\" {}", vector.name,
             to_string(vector.shape), matrix.name, to_string(matrix.shape));
      }
    }
    return linear(*running->pass, running->tensor(x), weight, bias);
  });
}

void check_eps(float eps) {
  if (eps >= 0 && std::isfinite(eps)) return;
  fail(ErrorKind::unavailable, "eps is {}, expected 0 or more", eps);
}

void check_finite(const char* what, float value) {
  if (!std::isfinite(value)) fail(ErrorKind::unavailable, "{} is {}", what, value);
}

gist_tensor rms_norm_op(gist_pass* running, gist_tensor x, std::int32_t weight, float eps,
                        float weight_offset) {
  return guarded(running, "rms_norm", {x}, [&] {
    const WeightSpec& vector = weight_spec(*running, weight, WeightUse::vector, "vector");
    const Tensor& normed = running->tensor(x);
    if (normed.shape[1] % vector.shape[0] != 0) expect_width("x", normed, vector.shape[0], vector);
    check_eps(eps);
    check_finite("weight_offset", weight_offset);
    return rms_norm(*running->pass, running->tensor(x), weight, eps, weight_offset);
  });
}

gist_tensor layer_norm_op(gist_pass* running, gist_tensor x, std::int32_t weight, std::int32_t bias,
                          float eps) {
  return guarded(running, "layer_norm", {x}, [&] {
    for (const std::int32_t each : {weight, bias}) {
      if (each == GIST_NONE) continue;
      const WeightSpec& vector = weight_spec(*running, each, WeightUse::vector, "vector");
      expect_width("x", running->tensor(x), vector.shape[0], vector);
    }
    check_eps(eps);
    return layer_norm(*running->pass, running->tensor(x), weight, bias, eps);
  });
}

gist_tensor scale_op(gist_pass* running, gist_tensor x, float factor) {
  return guarded(running, "scale", {x}, [&] {
    check_finite("the factor", factor);
    return scale(*running->pass, running->tensor(x), factor);
  });
}

gist_tensor columns_op(gist_pass* running, gist_tensor x, std::int64_t first, std::int64_t width,
                       std::int64_t blocks, std::int64_t stride) {
  return guarded(running, "columns", {x}, [&] {
    const ColumnBlocks asked{first, width, blocks, stride};
    if (!within(asked, running->tensor(x).shape[1])) {
      fail(ErrorKind::unavailable,
           "{} blocks of {} columns from {} on, {} apart, don't lie side by side within them",
           blocks, width, first, stride);
    }
    return columns(*running->pass, running->tensor(x), asked);
  });
}

gist_tensor position_embedding_op(gist_pass* running, std::int32_t table) {
  return guarded(running, "position_embedding", {}, [&] {
    const WeightSpec& spec = weight_spec(*running, table, WeightUse::table, "table");
    const ModelSpec& model = running->pass->model().spec();
    if (model.key_position != KeyPosition::absolute || spec.shape[0] < model.max_positions) {
      fail(ErrorKind::unavailable,
           "table \"{}\" {}: expected absolute positions, and a row for each of {}", spec.name,
           to_string(spec.shape), model.max_positions);
    }
    return position_embedding(*running->pass, table);
  });
}

gist_tensor add_op(gist_pass* running, gist_tensor a, gist_tensor b) {
  return guarded(running, "add", {a, b}, [&] {
    expect_equal(running->tensor(a), running->tensor(b));
    return add(*running->pass, running->tensor(a), running->tensor(b));
  });
}

Activation checked_activation(std::uint32_t activation) {
  switch (activation) {
    case GIST_ACTIVATION_SILU:
      return Activation::silu;
    case GIST_ACTIVATION_RELU:
      return Activation::relu;
    case GIST_ACTIVATION_GELU_NEW:
      return Activation::gelu_new;
    default:
      fail(ErrorKind::unavailable, "activation {} is not known to this gist", activation);
  }
}

float checked_dropout(float probability) {
  if (probability >= 0 && probability < 1) return probability;
  fail(ErrorKind::unavailable, "dropout is {}, expected a number from 0 to below 1", probability);
}

gist_tensor activation_op(gist_pass* running, std::uint32_t kind, gist_tensor x) {
  return guarded(running, "activation", {x}, [&] {
    return activation(*running->pass, checked_activation(kind), running->tensor(x));
  });
}

gist_tensor gated_activation_op(gist_pass* running, std::uint32_t kind, gist_tensor gate,
                                gist_tensor up) {
  return guarded(running, "gated_activation", {gate, up}, [&] {
    const Activation activation = checked_activation(kind);
    expect_equal(running->tensor(gate), running->tensor(up));
    return gated_activation(*running->pass, activation, running->tensor(gate), running->tensor(up));
  });
}

gist_tensor dropout_op(gist_pass* running, gist_tensor x, float probability) {
  return guarded(running, "dropout", {x}, [&] {
    return dropout(*running->pass, running->tensor(x), checked_dropout(probability));
  });
}

gist_tensor cross_input_op(gist_pass* running) {
  return guarded(running, "cross_input", {}, [&] {
    if (!running->in_layer || !running->pass->stack().reads_encoder) {
      fail(ErrorKind::unavailable, "called outside a layer of a stack that reads another");
    }
    return running->pass->cross_rows();
  });
}

PositionSpec checked_rope(const gist_attention& asked, const Pass& pass) {
  if (pass.model().spec().key_position != KeyPosition::rotated) {
    fail(ErrorKind::unavailable,
         "keys are rotated, but the model declares that their position is {}",
         pass.model().spec().key_position == KeyPosition::none ? "none" : "absolute");
  }
  const int key_dim = pass.stack().key_dim;
  if (asked.rope_inv_freq == nullptr || asked.rope_dims < 2 || asked.rope_dims % 2 != 0 ||
      asked.rope_dims > key_dim) {
    fail(ErrorKind::unavailable,
         "{} dimensions are rotated{}, expected an even number from 2 to {}", asked.rope_dims,
         asked.rope_inv_freq == nullptr ? " by no inv_freq" : "", key_dim);
  }
  if (asked.rope_scale == 0) {
    fail(ErrorKind::unavailable, "rope_scale is 0, so it was never set: 1 is usual");
  }
  PositionSpec position;
  position.kind = PositionSpec::Kind::rope;
  position.inv_freq = {asked.rope_inv_freq, static_cast<std::size_t>(asked.rope_dims / 2)};
  position.scale = asked.rope_scale;
  position.interleaved = asked.rope_interleaved != 0;
  return position;
}

PositionSpec checked_bias(const gist_attention& asked, const gist_pass& running) {
  const WeightSpec& table = weight_spec(running, asked.bias_table, WeightUse::table, "table");
  const StackSpec& stack = running.pass->stack();
  const std::int64_t buckets = table.shape[0];
  const bool bidirectional = stack.kind == StackKind::bidirectional;
  const std::int64_t exact = buckets / (bidirectional ? 4 : 2);
  if (table.shape[1] != stack.heads || exact < 1 || asked.bias_max_distance <= exact) {
    fail(
        ErrorKind::unavailable,
        "bias table \"{}\" {} with max_distance {}: expected [buckets, {}] and a distance above {}",
        table.name, to_string(table.shape), asked.bias_max_distance, stack.heads, exact);
  }
  PositionSpec position;
  position.kind = PositionSpec::Kind::relative_bias;
  position.bias_table = asked.bias_table;
  position.max_distance = asked.bias_max_distance;
  return position;
}

PositionSpec checked_position(const gist_attention& asked, const gist_pass& running) {
  switch (asked.position) {
    case GIST_POSITION_NONE:
      return {};
    case GIST_POSITION_ROPE:
      return checked_rope(asked, *running.pass);
    case GIST_POSITION_RELATIVE_BIAS:
      return checked_bias(asked, running);
    default:
      fail(ErrorKind::unavailable, "position kind {} is not known to this gist", asked.position);
  }
}

/// Each kind of attention is called once a layer. Throws at the second call, and where the stack
/// has none of the kind.
AttentionSource take_source(gist_pass& running, std::uint32_t source) {
  const bool cross = source == GIST_ATTENTION_CROSS;
  if (!cross && source != GIST_ATTENTION_SELF) {
    fail(ErrorKind::unavailable, "source {} is not known to this gist", source);
  }
  if (cross && !running.pass->stack().reads_encoder) {
    fail(ErrorKind::unavailable, "cross-attention in a stack that reads no other");
  }
  bool& attended = cross ? running.attended_cross : running.attended;
  if (attended) {
    fail(ErrorKind::unavailable, "called twice in a layer: a layer has one list of keys");
  }
  attended = true;
  return cross ? AttentionSource::cross : AttentionSource::self;
}

gist_tensor attention_op(gist_pass* running, gist_tensor q, gist_tensor k, gist_tensor v,
                         const gist_attention* given) {
  return guarded(running, "attention", {q, k, v}, [&] {
    if (!running->in_layer) fail(ErrorKind::unavailable, "called outside a layer");
    if (given == nullptr || given->size < first_size<gist_attention>) {
      fail(ErrorKind::unavailable, "gist_attention is {} bytes, expected {}",
           given == nullptr ? 0 : given->size, sizeof(gist_attention));
    }
    const auto copy = copied_struct<gist_attention>(given, given->size);
    const gist_attention* const asked = &copy;
    if (!std::isfinite(asked->softmax_scale) || !std::isfinite(asked->rope_scale) ||
        !std::isfinite(asked->soft_cap) || asked->soft_cap < 0) {
      fail(ErrorKind::unavailable, "softmax_scale {}, rope_scale {}, soft_cap {}: expected numbers",
           asked->softmax_scale, asked->rope_scale, asked->soft_cap);
    }
    if (asked->softmax_scale == 0) {
      fail(ErrorKind::unavailable,
           "softmax_scale is 0, so it was never set: key_dim^-0.5 is usual");
    }
    AttentionOptions options;
    options.source = take_source(*running, asked->source);
    options.position = checked_position(*asked, *running);
    if (options.source == AttentionSource::cross &&
        options.position.kind != PositionSpec::Kind::none) {
      fail(ErrorKind::unavailable, "cross-attention with positions: this gist knows none");
    }
    options.windowed = asked->windowed != 0;
    if (options.windowed &&
        (options.source == AttentionSource::cross || running->pass->stack().window == 0)) {
      fail(
          ErrorKind::unavailable,
          "windowed, but {}: expected attention of a stack with a window to itself",
          options.source == AttentionSource::cross ? "of source cross" : "the stack has no window");
    }
    options.scale = asked->softmax_scale;
    options.soft_cap = asked->soft_cap;
    options.dropout = checked_dropout(asked->dropout);
    return attention(*running->pass, running->tensor(q), running->tensor(k), running->tensor(v),
                     options);
  });
}

gist_tensor fail_op(gist_pass* running, const char* message) {
  return guarded(running, "the family failed", {}, [&]() -> Tensor {
    throw Error(ErrorKind::unavailable, message == nullptr ? "without a message" : message);
  });
}

/// The routing of a handle, which has been given for one.
const Routing& routing_of(const gist_pass& running, gist_tensor handle) {
  const auto found = running.routings.find(handle);
  if (found == running.routings.end()) {
    fail(ErrorKind::unavailable, "the routing is a tensor {} that top_k_routing didn't return",
         to_string(running.tensor(handle).shape));
  }
  return found->second;
}

gist_tensor top_k_routing_op(gist_pass* running, gist_tensor logits, std::int32_t k,
                             std::uint32_t normalised) {
  std::optional<Routing> routing;
  const gist_tensor handle = guarded(running, "top_k_routing", {logits}, [&] {
    const Tensor& each = running->tensor(logits);
    if (k < 1 || k > each.shape[1]) {
      fail(ErrorKind::unavailable, "{} experts a row, expected 1 to {}", k, each.shape[1]);
    }
    routing = top_k_routing(*running->pass, each, k, normalised != 0);
    return routing->weights;
  });
  if (handle != 0) running->routings[handle] = *routing;
  return handle;
}

void expect_rows(const Tensor& x, std::int64_t rows, const char* what) {
  if (x.shape[0] == rows) return;
  fail(ErrorKind::unavailable, "{} rows, expected {}, {}", x.shape[0], rows, what);
}

gist_tensor rows_by_expert_op(gist_pass* running, gist_tensor x, gist_tensor routing) {
  return guarded(running, "rows_by_expert", {x, routing}, [&] {
    const Routing& by = routing_of(*running, routing);
    expect_rows(running->tensor(x), by.weights.shape[0], "those that were routed");
    return rows_by_expert(*running->pass, running->tensor(x), by);
  });
}

gist_tensor expert_linear_op(gist_pass* running, gist_tensor x, gist_tensor routing,
                             const std::int32_t* weights, std::uint32_t n_weights) {
  return guarded(running, "expert_linear", {x, routing}, [&] {
    const Routing& by = routing_of(*running, routing);
    expect_rows(running->tensor(x), by.weights.shape.elements(), "those of rows_by_expert");
    if (weights == nullptr || n_weights != by.choice.ends.shape[0]) {
      fail(ErrorKind::unavailable, "{} weights for {} experts", n_weights, by.choice.ends.shape[0]);
    }
    const std::span<const std::int32_t> indices(weights, n_weights);
    const WeightSpec& first = weight_spec(*running, indices[0], WeightUse::matrix, "matrix");
    expect_width("x", running->tensor(x), first.shape[1], first);
    for (const std::int32_t index : indices) {
      const WeightSpec& own = weight_spec(*running, index, WeightUse::matrix, "matrix");
      if (own.shape == first.shape) continue;
      fail(ErrorKind::unavailable, "weights \"{}\" {} and \"{}\" {} of experts differ", first.name,
           to_string(first.shape), own.name, to_string(own.shape));
    }
    return expert_linear(*running->pass, running->tensor(x), by, indices);
  });
}

gist_tensor mixed_rows_op(gist_pass* running, gist_tensor x, gist_tensor routing) {
  return guarded(running, "mixed_rows", {x, routing}, [&] {
    const Routing& by = routing_of(*running, routing);
    expect_rows(running->tensor(x), by.weights.shape.elements(), "those of rows_by_expert");
    return mixed_rows(*running->pass, running->tensor(x), by);
  });
}

const void* extension(const char* name) {
  static constexpr gist_moe moe = {
      .size = sizeof(gist_moe),
      .reserved = 0,
      .top_k_routing = top_k_routing_op,
      .rows_by_expert = rows_by_expert_op,
      .expert_linear = expert_linear_op,
      .mixed_rows = mixed_rows_op,
  };
  return name != nullptr && std::string_view(name) == GIST_MOE_1 ? &moe : nullptr;
}

}  // namespace

const gist_ops& op_table() {
  static constexpr gist_ops ops = {
      .size = sizeof(gist_ops),
      .reserved = 0,
      .embedding = embedding_op,
      .linear = linear_op,
      .rms_norm = rms_norm_op,
      .add = add_op,
      .gated_activation = gated_activation_op,
      .attention = attention_op,
      .activation = activation_op,
      .dropout = dropout_op,
      .cross_input = cross_input_op,
      .layer_norm = layer_norm_op,
      .scale = scale_op,
      .columns = columns_op,
      .position_embedding = position_embedding_op,
      .fail = fail_op,
      .extension = extension,
  };
  return ops;
}

}  // namespace gist

void gist_pass::begin(gist::Pass& running, bool layer) {
  constexpr std::uint32_t callbacks = 1U << (32 - index_bits);
  pass = &running;
  in_layer = layer;
  attended = false;
  attended_cross = false;
  callback = (callback + 1) % callbacks;
  tensors.clear();
  routings.clear();
}

gist_tensor gist_pass::add(const gist::Tensor& tensor) {
  if (tensors.size() == most_tensors) {
    gist::fail(gist::ErrorKind::unavailable, "one callback made more than {} tensors",
               most_tensors);
  }
  tensors.push_back(tensor);
  return callback << index_bits | static_cast<std::uint32_t>(tensors.size());
}

const gist::Tensor& gist_pass::tensor(gist_tensor handle) const {
  const std::uint32_t index = handle & most_tensors;
  if (handle >> index_bits != callback || index == 0 || index > tensors.size()) {
    gist::fail(gist::ErrorKind::unavailable,
               "{:#x} is no tensor of this callback (handles end with the callback that got them)",
               handle);
  }
  return tensors[index - 1];
}
