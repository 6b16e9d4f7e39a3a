#include "core/loss_gradient.h"

#include <functional>
#include <vector>

#include "kernels/error.h"

namespace gist {
namespace {

constexpr int only_stack = 0;

/// `enter`, a layer, or `leave`: what the gradient is computed through at a time.
struct Part {
  std::function<Tensor(Pass&, const Tensor& input)> run;
  int layer = 0;  // whose weights and memory it uses
  Tensor input;   // none: `enter`
  Tensor output;
  Tape tape;
};

std::vector<Part> parts_of(const Model& model) {
  Family& family = model.family();
  const int layers = model.spec().stacks[only_stack].layers;
  std::vector<Part> parts(static_cast<std::size_t>(layers) + 2);
  parts.front().run = [&family](Pass& pass, const Tensor&) {
    return family.enter(pass, only_stack);
  };
  for (int layer = 0; layer < layers; ++layer) {
    Part& part = parts[static_cast<std::size_t>(layer) + 1];
    part.layer = layer;
    part.run = [&family, layer](Pass& pass, const Tensor& input) {
      return family.layer(pass, only_stack, layer, input);
    };
  }
  parts.back().layer = layers - 1;
  parts.back().run = [&family](Pass& pass, const Tensor& input) {
    return family.leave(pass, only_stack, input);
  };
  return parts;
}

/// Whether a part is run again before its gradient. The first and the last are cheap to keep.
bool is_recomputed(std::size_t index, std::size_t parts, bool recompute) {
  return recompute && index > 0 && index + 1 < parts;
}

Tensor forward_parts(Pass& pass, std::vector<Part>& parts, bool recompute,
                     TrainingScratch& scratch) {
  Tensor hidden;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    Part& part = parts[i];
    part.input = hidden;
    if (!is_recomputed(i, parts.size(), recompute)) {
      pass.begin_recorded_layer(part.layer, scratch.part(i), part.tape);
      hidden = part.run(pass, part.input);
    } else {
      pass.begin_layer(part.layer);
      const Tensor result = part.run(pass, part.input);
      hidden = pass.lasting().allocate(result.shape);
      pass.backend().copy(result, hidden);
    }
    part.output = hidden;
  }
  return hidden;
}

void backward_parts(Pass& pass, std::vector<Part>& parts, const Tensor& dhidden, bool recompute,
                    TrainingScratch& scratch) {
  Tensor gradient = dhidden;
  for (std::size_t i = parts.size(); i-- > 0;) {
    Part& part = parts[i];
    if (is_recomputed(i, parts.size(), recompute)) {
      pass.begin_recorded_layer(part.layer, scratch.part(1), part.tape);
      part.output = part.run(pass, part.input);
    }
    Workspace& memory = scratch.gradients[i % 2];
    memory.reset();
    gradient = part.tape.backward(part.output, gradient, part.input, memory);
    if (gradient.data == nullptr) return;  // what comes before doesn't matter to the loss
  }
}

/// The tokens whose hidden states predict the labels, and the labels.
struct Labels {
  std::vector<std::int32_t> tokens, ids;
};

Labels labels_of(std::span<const LabelledSequence> sequences, const Batch& batch) {
  Labels labels;
  for (std::size_t r = 0; r < sequences.size(); ++r) {
    const LabelledSequence& each = sequences[r];
    const std::int32_t n = each.sequence.tokens();
    if (each.stored != nullptr || each.labels < 1 || each.labels >= n) {
      fail(ErrorKind::internal, "a row of {} tokens can't be trained on {} labels", n, each.labels);
    }
    for (std::int32_t j = n - each.labels; j < n; ++j) {
      labels.tokens.push_back(batch.rows[r].query_begin + j - 1);
      labels.ids.push_back(each.sequence.ids[static_cast<std::size_t>(j)]);
    }
  }
  return labels;
}

}  // namespace

Workspace& TrainingScratch::part(std::size_t index) {
  while (parts_.size() <= index) parts_.emplace_back(*backend_);
  return parts_[index];
}

double add_loss_gradient(const Model& model, std::span<const LabelledSequence> sequences,
                         float factor, bool recompute, TrainingScratch& scratch) {
  Batch batch;
  for (const LabelledSequence& each : sequences) {
    add_sequence(batch, each.sequence, each.condition);
  }
  const Labels labels = labels_of(sequences, batch);
  Pass pass(model, batch, {}, scratch.pass);
  std::vector<Part> parts = parts_of(model);
  const Tensor hidden = forward_parts(pass, parts, recompute, scratch);

  Backend& backend = model.backend();
  Workspace& memory = pass.lasting();
  const auto count = static_cast<std::int64_t>(labels.ids.size());
  const Tensor tokens = memory.upload({count}, Dtype::i32, labels.tokens.data());
  const Tensor states = memory.allocate({count, hidden.shape[1]});
  backend.gather_rows(hidden, tokens, states);
  const Tensor loss = memory.allocate({count});
  const HeadSpec& head = model.spec().head;
  const Weight& weight = model.weight(head.weight, 0);
  static const Weight none;
  const Weight& bias = head.bias < 0 ? none : model.weight(head.bias, 0);
  const Tensor dstates = memory.allocate(states.shape);
  backend.linear_cross_entropy_gradient(states, weight.tensor, bias.tensor, head.scale,
                                        head.soft_cap,
                                        memory.upload({count}, Dtype::i32, labels.ids.data()),
                                        factor, loss, dstates, weight.gradient, bias.gradient);
  const Tensor dhidden = memory.allocate(hidden.shape);
  backend.zero(dhidden);
  backend.scatter_rows(dstates, tokens, dhidden);
  backward_parts(pass, parts, dhidden, recompute, scratch);

  std::vector<float> losses(labels.ids.size());
  backend.download(loss, losses.data());
  double sum = 0;
  for (const float each : losses) sum += each;
  return sum;
}

}  // namespace gist
