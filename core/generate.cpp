#include "core/generate.h"

#include <algorithm>
#include <utility>

#include "core/cached_row.h"
#include "core/decoding_step.h"
#include "core/encode.h"
#include "core/forward.h"
#include "core/random.h"
#include "core/reserved_cache.h"
#include "kernels/error.h"

namespace gist {
namespace {

constexpr std::size_t largest_default_cache = std::size_t{4} << 30;  // bytes

/// A row that is being generated.
struct Running {
  std::uint64_t number = 0;
  GenerationRequest request;
  CachedRow cached;
  CachedRow cross;                    // of an encoder-decoder: what the decoder reads
  std::vector<std::int32_t> pending;  // tokens that have not been through the model yet
  std::vector<std::int32_t> ids;      // generated so far
  std::int32_t room = 0;              // tokens that may still come
  std::int32_t reserved_blocks = 0;   // the most it can hold at once
  std::int32_t reserved_cross = 0;    // likewise
  /// Returns how many tokens go through the model before the first new one.
  std::int32_t first_tokens() const {
    return std::max(request.sequence.tokens(), static_cast<std::int32_t>(pending.size()));
  }
};

class Generator {
 public:
  Generator(const Model& model, const GenerationOptions& options, const GenerationEvents& events)
      : model_(model),
        options_(options),
        events_(events),
        encoder_decoder_(model.spec().encoder_decoder()),
        stack_(model.spec().answering_stack()),
        scratch_(model.backend()),
        encoder_scratch_(model.backend()),
        own_(KeyValueCache(model, stack_, default_cache_tokens(model, options))),
        cross_(encoder_decoder_ ? KeyValueCache(model, stack_, default_cache_tokens(model, options))
                                : KeyValueCache()),
        replayer_(model.backend().replayer()) {}

  void run() {
    while (!events_.interrupted()) {
      admit();
      if (rows_.empty()) return;
      step();
    }
  }

 private:
  static std::int32_t default_cache_tokens(const Model& model, const GenerationOptions& options) {
    const std::size_t fits =
        largest_default_cache / KeyValueCache::bytes_per_slot(model.spec().stacks.back());
    return static_cast<std::int32_t>(
        std::min<std::size_t>(static_cast<std::size_t>(options.cache_tokens), fits));
  }

  std::int32_t stored_tokens(const GenerationRequest& request) const {
    return request.stored == nullptr ? 0 : request.stored->tokens;
  }

  Running start(GenerationRequest request) const {
    const std::int32_t tokens = request.sequence.tokens();
    const std::int32_t stored = stored_tokens(request);
    const std::int32_t before = request.stored == nullptr ? 0 : request.stored_position + stored;
    const std::int32_t limit = model_.spec().max_positions;
    if (tokens + stored == 0) {
      fail(ErrorKind::data, "record {}: there is nothing to continue", request.ordinal + 1);
    }
    if (limit > 0 && before + tokens >= limit) {
      fail(ErrorKind::data,
           "record {}: {} tokens leave no room for an answer: the model has {} positions",
           request.ordinal + 1, before + tokens, limit);
    }
    Running row;
    row.room = options_.max_new_tokens;
    if (limit > 0) row.room = std::min(row.room, limit - before - tokens);
    // One block more than its keys fill: dropped keys may leave a hole at the end of a block.
    if (encoder_decoder_) {
      row.reserved_blocks = blocks_for(1 + row.room) + 1;
      row.reserved_cross = blocks_for(stored + tokens) + 1;
      row.pending = {model_.spec().decoder_start};
    } else {
      row.reserved_blocks = blocks_for(stored + tokens + row.room) + 1;
      row.pending = request.sequence.ids;
    }
    row.request = std::move(request);
    return row;
  }

  /// Takes in rows while there is room, in input order.
  void admit() {
    std::int32_t pass_tokens = static_cast<std::int32_t>(rows_.size());
    while (static_cast<std::int32_t>(rows_.size()) < options_.max_rows) {
      if (!waiting_ && !ended_) {
        std::optional<GenerationRequest> request = events_.next();
        ended_ = !request;
        if (request) {
          waiting_ = start(std::move(*request));
          waiting_->number = next_number_++;
        }
      }
      if (!waiting_) return;
      const std::int32_t tokens = waiting_->first_tokens();
      const bool alone = rows_.empty();
      if (!alone && pass_tokens + tokens > options_.batch_tokens) return;
      if (!own_.has_room(waiting_->reserved_blocks) || !cross_.has_room(waiting_->reserved_cross)) {
        if (!alone) return;
        own_.grow(model_, stack_, waiting_->reserved_blocks);
        cross_.grow(model_, stack_, waiting_->reserved_cross);
      }
      pass_tokens += tokens;
      own_.reserved += waiting_->reserved_blocks;
      cross_.reserved += waiting_->reserved_cross;
      rows_.push_back(std::move(*waiting_));
      waiting_.reset();
    }
  }

  /// One pass: each row's pending tokens, and a new token for each row.
  void step() {
    batch_.clear();
    batch_.options.stack = stack_;
    batch_.options.cache = &own_.cache;
    if (encoder_decoder_) {
      read_inputs();
      for (Running& row : rows_) {
        extend_row(row.cached, row.pending, {}, Condition::pos, StackKind::causal, own_.cache,
                   batch_);
        attend_encoder(row.cross, batch_);
      }
    } else {
      for (Running& row : rows_) extend(row);
    }
    const bool decodes = only_decodes(batch_);
    if (decodes) pad_lists(batch_.batch);
    Pass pass(model_, batch_.batch, batch_.options, scratch_);
    const Draw draw = upload_draw(pass);
    const auto work = [&] { sample(pass, forward(pass), draw); };
    if (decodes) {
      replayer_->run(replay_key(pass, scratch_), work);
    } else {
      work();
    }
    chosen_.resize(rows_.size());
    pass.backend().download(draw.ids, chosen_.data());
    for (std::size_t i = 0; i < rows_.size(); ++i) {
      drop_hidden_keys(rows_[i].cached, own_.cache);
      take(rows_[i], chosen_[i]);
    }
    std::erase_if(rows_, [](const Running& row) { return row.number == finished; });
  }

  /// A decoder reads a row's prompt itself, behind its stored gist.
  void extend(Running& row) {
    const bool first = row.cached.queries == 0 && row.cached.slot.empty();
    if (first && row.request.stored != nullptr) {
      place_gist(row.cached, *row.request.stored, row.request.stored_position, own_.cache, batch_);
    }
    const bool prompt = row.ids.empty();
    extend_row(row.cached, row.pending,
               prompt ? std::span<const Interval>(row.request.sequence.gists)
                      : std::span<const Interval>(),
               prompt ? row.request.condition : Condition::pos, StackKind::causal, own_.cache,
               batch_);
  }

  /// Runs the encoder over the inputs of new rows: the pass will make the keys of its output.
  void read_inputs() {
    batch_.options.cross.cache = &cross_.cache;
    std::vector<EncoderInput> inputs;
    std::vector<Running*> readers;
    for (Running& row : rows_) {
      if (row.cached.queries > 0) continue;
      const GenerationRequest& request = row.request;
      inputs.push_back(
          {request.sequence, request.condition, request.stored, request.stored_position});
      readers.push_back(&row);
    }
    batch_.options.cross.rows = {nullptr, Dtype::f32, {0, model_.spec().d_model}};
    if (inputs.empty()) return;
    const Encoded encoded = encode(model_, inputs, encoder_scratch_);
    batch_.options.cross.rows = encoded.rows;
    for (std::size_t i = 0; i < readers.size(); ++i) {
      const std::int32_t begin = i == 0 ? 0 : encoded.row_end[i - 1];
      read_encoder(readers[i]->cross, encoded.row_end[i] - begin, cross_.cache, batch_);
    }
  }

  /// Draw holds what the rows' next tokens are drawn by, and where they go.
  struct Draw {
    Tensor last_tokens, uniform, ids;
  };

  Draw upload_draw(Pass& pass) {
    last_tokens_.clear();
    uniform_.clear();
    for (std::size_t i = 0; i < rows_.size(); ++i) {
      const AttentionRow& row = batch_.batch.keys.rows[i];
      last_tokens_.push_back(std::max(row.query_end - 1, 0));
      uniform_.push_back(uniform_draw(options_.seed, rows_[i].request.ordinal,
                                      static_cast<std::uint32_t>(rows_[i].ids.size())));
    }
    const auto n = static_cast<std::int64_t>(rows_.size());
    Workspace& memory = pass.lasting();
    return {memory.upload({n}, Dtype::i32, last_tokens_.data()),
            memory.upload({n}, Dtype::f32, uniform_.data()), memory.allocate({n}, Dtype::i32)};
  }

  void sample(Pass& pass, const Tensor& hidden, const Draw& draw) {
    Backend& backend = pass.backend();
    const std::int64_t n = draw.ids.shape[0];
    Workspace& memory = pass.lasting();
    const Tensor states = memory.allocate({n, hidden.shape[1]});
    if (pass.tokens() > 0) {
      backend.run(ops::GatherRows{.x = hidden, .rows = draw.last_tokens, .y = states});
    }
    for (std::int64_t i = 0; i < n; ++i) {
      // A row that read nothing continues its stored gist: the store has what the head reads.
      const Running& row = rows_[static_cast<std::size_t>(i)];
      if (!row.pending.empty()) continue;
      const std::vector<float>& stored = row.request.stored->hidden;
      backend.upload(states.rows(i, i + 1),
                     stored.data() + stored.size() - static_cast<std::size_t>(hidden.shape[1]));
    }
    backend.run(ops::Sample{.logits = logits(model_, states, memory),
                            .options = options_.sampling,
                            .uniform = draw.uniform,
                            .ids = draw.ids});
  }

  /// Adds a token to its row, and ends the row where that was its last.
  void take(Running& row, std::int32_t token) {
    if (token < 0) {
      fail(ErrorKind::data,
           "record {}: the logits of token {} of the answer are not finite numbers: the model's "
           "weights{} don't work for this input",
           row.request.ordinal + 1, row.ids.size() + 1,
           row.request.stored == nullptr ? "" : ", or the stored gist,");
    }
    if (std::find(options_.ends.begin(), options_.ends.end(), token) != options_.ends.end()) {
      return finish(row, FinishReason::eos, token);
    }
    row.ids.push_back(token);
    row.pending.assign(1, token);
    if (!events_.token(row.number, row.ids)) return finish(row, FinishReason::stop);
    if (--row.room == 0) finish(row, FinishReason::length);
  }

  void finish(Running& row, FinishReason reason, std::int32_t end = -1) {
    release_row(row.cached, own_.cache);
    if (encoder_decoder_) release_row(row.cross, cross_.cache);
    own_.reserved -= row.reserved_blocks;
    cross_.reserved -= row.reserved_cross;
    const std::uint64_t number = std::exchange(row.number, finished);
    events_.done(number, {std::move(row.ids), reason, end});
  }

  static constexpr std::uint64_t finished = ~std::uint64_t{0};

  const Model& model_;
  const GenerationOptions& options_;
  const GenerationEvents& events_;
  bool encoder_decoder_;
  int stack_;  // that answers
  Scratch scratch_;
  Scratch encoder_scratch_;
  ReservedCache own_;                   // of the answering stack's own tokens
  ReservedCache cross_;                 // of what it reads from an encoder
  std::unique_ptr<Replayer> replayer_;  // of decoding steps
  std::vector<Running> rows_;
  std::optional<Running> waiting_;  // read, but there was no room yet
  std::uint64_t next_number_ = 0;
  bool ended_ = false;
  // Buffers of a step, kept so that steps allocate nothing.
  CachedBatch batch_;
  std::vector<std::int32_t> last_tokens_, chosen_;
  std::vector<float> uniform_;
};

}  // namespace

std::string_view name_of(FinishReason reason) {
  switch (reason) {
    case FinishReason::eos:
      return "eos";
    case FinishReason::stop:
      return "stop";
    case FinishReason::length:
      return "length";
  }
  return "";
}

void generate(const Model& model, const GenerationOptions& options,
              const GenerationEvents& events) {
  if (options.max_new_tokens < 1 || options.max_rows < 1) {
    fail(ErrorKind::usage, "generation needs at least 1 new token and 1 row, not {} and {}",
         options.max_new_tokens, options.max_rows);
  }
  Generator(model, options, events).run();
}

}  // namespace gist
