#include "plugins/host/check/walk.h"

#include <algorithm>
#include <random>

#include "core/encode.h"

namespace gist {
namespace {

constexpr const char* the_head = "the head";

Batch batch_of(const StackSpec& stack, const std::vector<std::int32_t>& ids,
               std::int32_t encoded_rows) {
  Batch batch;
  add_sequence(batch, {ids, {}}, Condition::pos, stack.kind);
  if (stack.reads_encoder) attend_rows(batch, std::vector<std::int32_t>{encoded_rows});
  return batch;
}

std::int32_t rows_of(const ModelSpec& spec, const std::vector<float>& hidden) {
  return static_cast<std::int32_t>(hidden.size() / static_cast<std::size_t>(spec.d_model));
}

PassOptions options_of(const ModelSpec& spec, int stack, const std::vector<float>& encoded,
                       Workspace& memory) {
  PassOptions options;
  options.stack = stack;
  if (spec.stacks[static_cast<std::size_t>(stack)].reads_encoder) {
    options.cross.rows =
        memory.upload({rows_of(spec, encoded), spec.d_model}, Dtype::f32, encoded.data());
  }
  return options;
}

}  // namespace

Walk::Walk(const Model& model, int stack, const std::vector<std::int32_t>& ids,
           const std::vector<float>& encoded)
    : scratch_(model.backend()),
      given_(model.backend()),
      pass_(model,
            batch_of(model.spec().stacks[static_cast<std::size_t>(stack)], ids,
                     rows_of(model.spec(), encoded)),
            options_of(model.spec(), stack, encoded, given_), scratch_) {}

std::vector<float> Walk::run(int callback, const std::vector<float>& hidden) {
  Family& family = pass_.model().family();
  const int stack = pass_.stack_index();
  const int layers = pass_.stack().layers;
  const int layer = callback == 0 ? 0 : std::min(callback, layers) - 1;
  pass_.begin_part(callback, layer);
  if (callback == 0) return downloaded(pass_.backend(), family.enter(pass_, stack));
  const Tensor given = pass_.lasting().upload({pass_.tokens(), pass_.model().spec().d_model},
                                              Dtype::f32, hidden.data());
  return downloaded(pass_.backend(), callback <= layers ? family.layer(pass_, stack, layer, given)
                                                        : family.leave(pass_, stack, given));
}

std::string callback_name(const ModelSpec& spec, int stack, int callback) {
  const int layers = spec.stacks[static_cast<std::size_t>(stack)].layers;
  std::string name = "layer " + std::to_string(callback - 1);
  if (callback == 0) name = "enter";
  if (callback == layers + 1) name = "leave";
  if (!spec.encoder_decoder()) return name;
  return name + (stack == 0 ? " of the encoder" : " of the decoder");
}

std::vector<float> head_logits(const Model& model, const std::vector<float>& hidden) {
  const ModelSpec& spec = model.spec();
  Workspace memory(model.backend());
  const Tensor states =
      memory.upload({rows_of(spec, hidden), spec.d_model}, Dtype::f32, hidden.data());
  return downloaded(model.backend(), logits(model, states, memory));
}

std::vector<std::int32_t> random_ids(const ModelSpec& spec) {
  const int places = spec.max_positions > 0 ? spec.max_positions : walked_tokens;
  std::mt19937 random(11);
  std::vector<std::int32_t> ids(static_cast<std::size_t>(std::min(walked_tokens, places)));
  for (std::int32_t& id : ids) {
    id = static_cast<std::int32_t>(random() % static_cast<unsigned>(spec.vocabulary));
  }
  return ids;
}

WholeWalk::WholeWalk(const Model& model) : model_(model), ids_(random_ids(model.spec())) {}

bool WholeWalk::step() {
  const ModelSpec& spec = model_.spec();
  if (stack_ == static_cast<int>(spec.stacks.size())) {
    if (found_.back().callback == the_head) return false;
    found_.push_back({the_head, head_logits(model_, hidden_)});
    return true;
  }
  if (callback_ == 0) {
    if (stack_ == 1) {
      std::reverse(ids_.begin(), ids_.end());
      ids_[0] = spec.decoder_start;
    }
    walk_ = std::make_unique<Walk>(model_, stack_, ids_, hidden_);
  }
  hidden_ = walk_->run(callback_, hidden_);
  found_.push_back({callback_name(spec, stack_, callback_), hidden_});
  if (++callback_ == walk_->callbacks()) {
    callback_ = 0;
    ++stack_;
  }
  return true;
}

std::vector<CallbackValues> walk_all(const Model& model) {
  WholeWalk walk(model);
  while (walk.step()) {
  }
  return walk.found();
}

}  // namespace gist
