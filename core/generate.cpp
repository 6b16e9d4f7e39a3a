#include "core/generate.h"

#include <algorithm>
#include <utility>

#include "core/cached_row.h"
#include "core/forward.h"
#include "core/random.h"
#include "kernels/error.h"

namespace gist {
namespace {

constexpr std::size_t largest_default_cache = std::size_t{4} << 30;  // bytes

/// A row that is being generated.
struct Running {
  std::uint64_t number = 0;
  GenerationRequest request;
  CachedRow cached;
  std::vector<std::int32_t> pending;  // tokens that have not been through the model yet
  std::vector<std::int32_t> ids;      // generated so far
  std::int32_t room = 0;              // tokens that may still come
  std::int32_t reserved_blocks = 0;   // the most it can hold at once
};

class Generator {
 public:
  Generator(const Model& model, const GenerationOptions& options, const GenerationEvents& events)
      : model_(model),
        options_(options),
        events_(events),
        scratch_(model.backend()),
        cache_(model, default_cache_tokens(model, options)),
        total_blocks_(cache_.free_blocks()) {}

  void run() {
    while (!events_.interrupted()) {
      admit();
      if (rows_.empty()) return;
      step();
    }
  }

 private:
  static std::int32_t default_cache_tokens(const Model& model, const GenerationOptions& options) {
    const std::size_t fits = largest_default_cache / KeyValueCache::bytes_per_slot(model.spec());
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
    row.reserved_blocks = blocks_for(stored + tokens + row.room) + 1;
    row.pending = request.sequence.ids;
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
      const auto tokens = static_cast<std::int32_t>(waiting_->pending.size());
      const bool alone = rows_.empty();
      if (!alone && pass_tokens + tokens > options_.batch_tokens) return;
      if (reserved_blocks_ + waiting_->reserved_blocks > total_blocks_) {
        if (!alone) return;
        grow(waiting_->reserved_blocks);
      }
      pass_tokens += tokens;
      reserved_blocks_ += waiting_->reserved_blocks;
      rows_.push_back(std::move(*waiting_));
      waiting_.reset();
    }
  }

  /// A larger cache, while no row holds the old one.
  void grow(std::int32_t blocks) {
    cache_ = KeyValueCache();
    cache_ = KeyValueCache(model_, blocks * KeyValueCache::block_size);
    total_blocks_ = cache_.free_blocks();
  }

  /// One pass: each row's pending tokens, and a new token for each row.
  void step() {
    batch_.clear();
    batch_.options.cache = &cache_;
    for (Running& row : rows_) {
      const bool first = row.cached.queries == 0 && row.cached.slot.empty();
      if (first && row.request.stored != nullptr) {
        place_gist(row.cached, *row.request.stored, row.request.stored_position, cache_, batch_);
      }
      const bool prompt = row.ids.empty();
      extend_row(row.cached, row.pending,
                 prompt ? std::span<const Interval>(row.request.sequence.gists)
                        : std::span<const Interval>(),
                 prompt ? row.request.condition : Condition::pos, cache_, batch_);
    }
    Pass pass(model_, batch_.batch, batch_.options, scratch_);
    const Tensor hidden = forward(pass);
    sample(pass, hidden);
    for (std::size_t i = 0; i < rows_.size(); ++i) {
      drop_hidden_keys(rows_[i].cached, cache_);
      take(rows_[i], chosen_[i]);
    }
    std::erase_if(rows_, [](const Running& row) { return row.number == finished; });
  }

  /// Draws `chosen_`, a token for each row.
  void sample(Pass& pass, const Tensor& hidden) {
    Backend& backend = pass.backend();
    const auto n = static_cast<std::int64_t>(rows_.size());
    last_tokens_.clear();
    uniform_.clear();
    for (std::size_t i = 0; i < rows_.size(); ++i) {
      const AttentionRow& row = batch_.batch.rows[i];
      last_tokens_.push_back(std::max(row.query_end - 1, 0));
      uniform_.push_back(uniform_draw(options_.seed, rows_[i].request.ordinal,
                                      static_cast<std::uint32_t>(rows_[i].ids.size())));
    }
    Workspace& memory = pass.lasting();
    const Tensor states = memory.allocate({n, hidden.shape[1]});
    if (pass.tokens() > 0) {
      backend.gather_rows(hidden, memory.upload({n}, Dtype::i32, last_tokens_.data()), states);
    }
    for (std::int64_t i = 0; i < n; ++i) {
      // A row that read nothing continues its stored gist: the store has what the head reads.
      const Running& row = rows_[static_cast<std::size_t>(i)];
      if (!row.pending.empty()) continue;
      const std::vector<float>& stored = row.request.stored->hidden;
      backend.upload(states.rows(i, i + 1),
                     stored.data() + stored.size() - static_cast<std::size_t>(hidden.shape[1]));
    }
    const Tensor ids = memory.allocate({n}, Dtype::i32);
    backend.sample(logits(pass, states), options_.sampling,
                   memory.upload({n}, Dtype::f32, uniform_.data()), ids);
    chosen_.resize(rows_.size());
    backend.download(ids, chosen_.data());
  }

  /// Adds a token to its row, and ends the row where that was its last.
  void take(Running& row, std::int32_t token) {
    if (token == options_.eos) return finish(row, FinishReason::eos);
    row.ids.push_back(token);
    row.pending.assign(1, token);
    if (!events_.token(row.number, row.ids)) return finish(row, FinishReason::stop);
    if (--row.room == 0) finish(row, FinishReason::length);
  }

  void finish(Running& row, FinishReason reason) {
    release_row(row.cached, cache_);
    reserved_blocks_ -= row.reserved_blocks;
    const std::uint64_t number = std::exchange(row.number, finished);
    events_.done(number, {std::move(row.ids), reason});
  }

  static constexpr std::uint64_t finished = ~std::uint64_t{0};

  const Model& model_;
  const GenerationOptions& options_;
  const GenerationEvents& events_;
  Scratch scratch_;
  KeyValueCache cache_;
  std::int32_t total_blocks_;
  std::int32_t reserved_blocks_ = 0;
  std::vector<Running> rows_;
  std::optional<Running> waiting_;  // read, but there was no room yet
  std::uint64_t next_number_ = 0;
  bool ended_ = false;
  // Of a step; kept so that steps allocate nothing.
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
