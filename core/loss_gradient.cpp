#include "core/loss_gradient.h"

#include <functional>
#include <vector>

#include "core/encode.h"
#include "kernels/error.h"

namespace gist {
namespace {

/// `enter`, a layer, or `leave`: what the gradient is computed through at a time.
struct Part {
  std::function<Tensor(Pass&, const Tensor& input)> run;
  int layer = 0;  // whose weights it uses
  Tensor input;   // none: `enter`
  Tensor output;
  Tape tape;
};

std::vector<Part> parts_of(const Model& model, int stack) {
  Family& family = model.family();
  const int layers = model.spec().stacks[static_cast<std::size_t>(stack)].layers;
  std::vector<Part> parts(static_cast<std::size_t>(layers) + 2);
  parts.front().run = [&family, stack](Pass& pass, const Tensor&) {
    return family.enter(pass, stack);
  };
  for (int layer = 0; layer < layers; ++layer) {
    Part& part = parts[static_cast<std::size_t>(layer) + 1];
    part.layer = layer;
    part.run = [&family, stack, layer](Pass& pass, const Tensor& input) {
      return family.layer(pass, stack, layer, input);
    };
  }
  parts.back().layer = layers - 1;
  parts.back().run = [&family, stack](Pass& pass, const Tensor& input) {
    return family.leave(pass, stack, input);
  };
  return parts;
}

/// Whether a part is run again before its gradient. The first and the last are cheap to keep.
bool is_recomputed(std::size_t index, std::size_t parts, bool recompute) {
  return recompute && index > 0 && index + 1 < parts;
}

/// A stack's pass forwards, and then backwards.
class StackGradient {
 public:
  StackGradient(const Model& model, const Batch& batch, const PassOptions& options, bool recompute,
                StackScratch& scratch)
      : pass_(model, batch, options, scratch.pass),
        parts_(parts_of(model, options.stack)),
        recompute_(recompute),
        scratch_(scratch) {}

  Pass& pass() { return pass_; }

  Tensor forward() {
    Tensor hidden;
    for (std::size_t i = 0; i < parts_.size(); ++i) {
      Part& part = parts_[i];
      part.input = hidden;
      if (!is_recomputed(i, parts_.size(), recompute_)) {
        pass_.begin_recorded_part(static_cast<int>(i), part.layer, scratch_.part(i), part.tape);
        hidden = part.run(pass_, part.input);
      } else {
        pass_.begin_part(static_cast<int>(i), part.layer);
        const Tensor result = part.run(pass_, part.input);
        hidden = pass_.lasting().allocate(result.shape);
        pass_.backend().copy(result, hidden);
      }
      part.output = hidden;
    }
    return hidden;
  }

  /// Returns the gradient of the pass' cross rows, where it has some; it lives until the scratch's
  /// next pass.
  Tensor backward(const Tensor& dhidden) {
    const Tensor& cross = pass_.cross_rows();
    Tensor dcross;
    if (cross.data != nullptr) {
      dcross = pass_.lasting().allocate(cross.shape);
      pass_.backend().run(ops::Zero{.x = dcross});
    }
    Tensor gradient = dhidden;
    for (std::size_t i = parts_.size(); i-- > 0;) {
      Part& part = parts_[i];
      if (is_recomputed(i, parts_.size(), recompute_)) {
        pass_.begin_recorded_part(static_cast<int>(i), part.layer, scratch_.part(1), part.tape);
        part.output = part.run(pass_, part.input);
      }
      Workspace& memory = scratch_.gradients[i % 2];
      memory.reset();
      const Tape::Result result =
          part.tape.backward(part.output, gradient, part.input, cross, memory);
      if (result.other.data != nullptr) {
        pass_.backend().run(ops::Add{.a = dcross, .b = result.other, .y = dcross});
      }
      gradient = result.input;
      if (gradient.data == nullptr) break;  // what comes before doesn't matter to the loss
    }
    return dcross;
  }

 private:
  Pass pass_;
  std::vector<Part> parts_;
  bool recompute_;
  StackScratch& scratch_;
};

/// The tokens whose hidden states predict the labels, and the labels.
struct Labels {
  std::vector<std::int32_t> tokens, ids;
};

Labels labels_of(std::span<const LabelledSequence> sequences, const Batch& batch) {
  Labels labels;
  for (std::size_t r = 0; r < sequences.size(); ++r) {
    const auto answer = answer_of(sequences[r]);
    // The last tokens of a row but one predict the answer; of an encoder-decoder's decoder, all do.
    const AttentionRow& row = batch.keys.rows[r];
    const bool whole = row.query_end - row.query_begin == sequences[r].labels;
    const std::int32_t last = row.query_end - (whole ? 0 : 1);
    for (std::int32_t j = last - sequences[r].labels; j < last; ++j) labels.tokens.push_back(j);
    labels.ids.insert(labels.ids.end(), answer.begin(), answer.end());
  }
  return labels;
}

void check(std::span<const LabelledSequence> sequences, bool encoder_decoder) {
  for (const LabelledSequence& each : sequences) {
    const std::int32_t n = each.sequence.tokens();
    if (each.stored == nullptr && each.labels >= 1 && each.labels < n + (encoder_decoder ? 1 : 0)) {
      continue;
    }
    fail(ErrorKind::internal, "a row of {} tokens can't be trained on {} labels", n, each.labels);
  }
}

/// The loss of hidden states, and their gradient.
struct HeadGradient {
  LossSum sum;
  Tensor dhidden;
};

double sum_of(const Tensor& values, Backend& backend) {
  std::vector<float> read(static_cast<std::size_t>(values.shape[0]));
  backend.download(values, read.data());
  double sum = 0;
  for (const float each : read) sum += each;
  return sum;
}

/// The same of the loss with a teacher's part.
void run_distillation(const ops::LinearCrossEntropyGradient& of_labels, const Lesson& lesson,
                      const Model& model, std::span<const std::int32_t> labels,
                      const Tensor& divergence, Workspace& memory) {
  const float weight = lesson.teacher.options.weight;
  if (lesson.teacher.model == nullptr) {
    const KnownPredictions expected = known_predictions(lesson, model, labels.size(), memory);
    model.backend().run(ops::TopDistillation{.hidden = of_labels.hidden,
                                             .head = of_labels.head,
                                             .bias = of_labels.bias,
                                             .cross_entropy = of_labels.spec,
                                             .teacher = expected.top,
                                             .spec = expected.spec,
                                             .weight = weight,
                                             .labels = of_labels.labels,
                                             .loss = of_labels.loss,
                                             .divergence = divergence,
                                             .dhidden = of_labels.dhidden,
                                             .dhead = of_labels.dhead,
                                             .dbias = of_labels.dbias});
    return;
  }
  const TeacherPredictions expected = teach(lesson, model, labels);
  model.backend().run(ops::DistillationGradient{.hidden = of_labels.hidden,
                                                .head = of_labels.head,
                                                .bias = of_labels.bias,
                                                .cross_entropy = of_labels.spec,
                                                .teacher = expected.head,
                                                .spec = expected.divergence,
                                                .weight = weight,
                                                .labels = of_labels.labels,
                                                .loss = of_labels.loss,
                                                .divergence = divergence,
                                                .dhidden = of_labels.dhidden,
                                                .dhead = of_labels.dhead,
                                                .dbias = of_labels.dbias});
}

HeadGradient through_head(const Model& model, const Tensor& hidden, const Labels& labels,
                          const LossOptions& options, Workspace& memory) {
  Backend& backend = model.backend();
  const auto count = static_cast<std::int64_t>(labels.ids.size());
  const Tensor tokens = memory.upload({count}, Dtype::i32, labels.tokens.data());
  const Tensor states = memory.allocate({count, hidden.shape[1]});
  backend.run(ops::GatherRows{.x = hidden, .rows = tokens, .y = states});
  const Tensor loss = memory.allocate({count});
  const HeadSpec& head = model.spec().head;
  const Weight& weight = model.weight(head.weight, 0);
  static const Weight none;
  const Weight& bias = head.bias < 0 ? none : model.weight(head.bias, 0);
  const Tensor dstates = memory.allocate(states.shape);
  const ops::LinearCrossEntropyGradient of_labels{
      .hidden = states,
      .head = weight.tensor,
      .bias = bias.tensor,
      .spec = {head.scale, head.soft_cap, options.factor, options.label_smoothing},
      .labels = memory.upload({count}, Dtype::i32, labels.ids.data()),
      .loss = loss,
      .dhidden = dstates,
      .dhead = weight.gradient,
      .dbias = bias.gradient};
  HeadGradient result;
  if (options.lesson == nullptr) {
    backend.run(of_labels);
    result.sum.cross_entropy = result.sum.loss = sum_of(loss, backend);
  } else {
    const Tensor divergence = memory.allocate({count});
    run_distillation(of_labels, *options.lesson, model, labels.ids, divergence, memory);
    result.sum.cross_entropy = sum_of(loss, backend);
    result.sum.divergence = sum_of(divergence, backend);
    result.sum.loss = distillation_loss(options.lesson->teacher.options, result.sum.cross_entropy,
                                        result.sum.divergence);
  }
  result.dhidden = memory.allocate(hidden.shape);
  backend.run(ops::Zero{.x = result.dhidden});
  backend.run(ops::ScatterRows{.x = dstates, .rows = tokens, .y = result.dhidden});
  return result;
}

LossSum decoder_gradient(const Model& model, std::span<const LabelledSequence> sequences,
                         const LossOptions& options, TrainingScratch& scratch) {
  Batch batch;
  for (const LabelledSequence& each : sequences) {
    add_sequence(batch, each.sequence, each.condition, StackKind::causal);
  }
  PassOptions pass_options;
  pass_options.dropout = options.dropout;
  StackGradient stack(model, batch, pass_options, options.recompute, scratch.stacks[0]);
  const Tensor hidden = stack.forward();
  const HeadGradient head =
      through_head(model, hidden, labels_of(sequences, batch), options, stack.pass().lasting());
  stack.backward(head.dhidden);
  return head.sum;
}

LossSum encoder_decoder_gradient(const Model& model, std::span<const LabelledSequence> sequences,
                                 const LossOptions& options, TrainingScratch& scratch) {
  const std::vector<EncoderInput> inputs = encoder_inputs(sequences);
  Batch inputs_batch;
  for (const EncoderInput& input : inputs) {
    add_sequence(inputs_batch, input.sequence, input.condition, StackKind::bidirectional);
  }
  PassOptions encoder_options;
  encoder_options.dropout = options.dropout;
  StackGradient encoder(model, inputs_batch, encoder_options, options.recompute, scratch.stacks[0]);
  const Tensor encoded = encoder.forward();
  Backend& backend = model.backend();
  Workspace& memory = encoder.pass().lasting();
  const DecoderView view = decoder_view(inputs);
  const auto seen = static_cast<std::int64_t>(view.tokens.size());
  const Tensor tokens = memory.upload({seen}, Dtype::i32, view.tokens.data());
  const Tensor rows = memory.allocate({seen, encoded.shape[1]});
  backend.run(ops::GatherRows{.x = encoded, .rows = tokens, .y = rows});

  Batch batch = decoder_batch(model.spec(), sequences);
  attend_rows(batch, view.row_end);
  PassOptions decoder_options;
  decoder_options.stack = model.spec().answering_stack();
  decoder_options.cross.rows = rows;
  decoder_options.dropout = options.dropout;
  StackGradient decoder(model, batch, decoder_options, options.recompute, scratch.stacks[1]);
  const Tensor hidden = decoder.forward();
  const HeadGradient head =
      through_head(model, hidden, labels_of(sequences, batch), options, decoder.pass().lasting());
  const Tensor drows = decoder.backward(head.dhidden);
  const Tensor dencoded = memory.allocate(encoded.shape);
  backend.run(ops::Zero{.x = dencoded});
  backend.run(ops::ScatterRows{.x = drows, .rows = tokens, .y = dencoded});
  encoder.backward(dencoded);
  return head.sum;
}

}  // namespace

Workspace& StackScratch::part(std::size_t index) {
  while (parts_.size() <= index) parts_.emplace_back(pass.lasting.backend());
  return parts_[index];
}

LossSum add_loss_gradient(const Model& model, std::span<const LabelledSequence> sequences,
                          const LossOptions& options, TrainingScratch& scratch) {
  const bool encoder_decoder = model.spec().encoder_decoder();
  check(sequences, encoder_decoder);
  return encoder_decoder ? encoder_decoder_gradient(model, sequences, options, scratch)
                         : decoder_gradient(model, sequences, options, scratch);
}

}  // namespace gist
