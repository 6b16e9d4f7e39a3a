#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/cpu/operations.h"
#include "kernels/cpu/parallel.h"
#include "kernels/finite.h"

namespace gist::cpu {
namespace {

struct Candidate {
  float logit;
  std::int32_t id;
};

/// The order of falling probability, ties by id.
bool likelier(const Candidate& a, const Candidate& b) {
  return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
}

/// A row's ids in order of falling probability, of which only as many are sorted as are asked for.
class Ranking {
 public:
  Ranking(Candidate* candidates, std::int64_t size) : candidates_(candidates), size_(size) {}

  std::int64_t size() const { return size_; }
  /// Drops all but the likeliest `size`, which is not above size().
  void keep(std::int64_t size) {
    sort_up_to(size);
    size_ = size;
  }
  const Candidate& operator[](std::int64_t rank) {
    if (rank >= sorted_) sort_up_to(std::min(size_, std::max<std::int64_t>(64, 4 * (rank + 1))));
    return candidates_[rank];
  }

 private:
  void sort_up_to(std::int64_t rank) {
    if (rank <= sorted_) return;
    if (rank < size_) {
      std::nth_element(candidates_ + sorted_, candidates_ + rank, candidates_ + size_, likelier);
    }
    std::sort(candidates_ + sorted_, candidates_ + rank, likelier);
    sorted_ = rank;
  }

  Candidate* candidates_;
  std::int64_t size_;
  std::int64_t sorted_ = 0;
};

/// The ids that may be chosen: [0, begin) and [end, vocabulary).
struct Allowed {
  std::int64_t begin, end, vocabulary;

  Allowed(const SamplingOptions& options, std::int64_t ids)
      : begin(options.banned < 0 ? ids : std::min<std::int64_t>(options.banned, ids)),
        end(std::min<std::int64_t>(begin + options.banned_count, ids)),
        vocabulary(ids) {}

  template <typename Visit>
  void for_each(const Visit& visit) const {
    for (std::int64_t i = 0; i < begin; ++i) visit(i);
    for (std::int64_t i = end; i < vocabulary; ++i) visit(i);
  }
};

std::int32_t largest(const float* logits, const Allowed& allowed) {
  Candidate best{0, -1};
  allowed.for_each([&](std::int64_t i) {
    const Candidate each{logits[i], static_cast<std::int32_t>(i)};
    if (best.id < 0 || each.logit > best.logit) best = each;
  });
  return best.id;
}

std::int32_t draw(const float* logits, const Allowed& allowed, const SamplingOptions& options,
                  float uniform, Candidate* candidates) {
  std::int64_t count = 0;
  float peak = -std::numeric_limits<float>::infinity();
  allowed.for_each([&](std::int64_t i) {
    candidates[count++] = {logits[i], static_cast<std::int32_t>(i)};
    peak = std::max(peak, candidates[count - 1].logit);
  });

  const auto weight = [&](float logit) {  // in proportion to the probability
    return std::exp((static_cast<double>(logit) - peak) / options.temperature);
  };
  Ranking ranking(candidates, count);
  if (options.top_k > 0 && options.top_k < count) ranking.keep(options.top_k);
  double total = 0;
  for (std::int64_t i = 0; i < ranking.size(); ++i) total += weight(candidates[i].logit);

  if (options.top_p < 1) {
    double mass = 0;
    std::int64_t kept = 0;
    while (kept < ranking.size() && mass < options.top_p * total) {
      mass += weight(ranking[kept++].logit);
    }
    ranking.keep(kept);
    total = mass;
  }
  double cumulative = 0;
  std::int64_t last_possible = 0;
  for (std::int64_t rank = 0; rank < ranking.size(); ++rank) {
    const double each = weight(ranking[rank].logit);
    cumulative += each;
    if (cumulative > uniform * total) return ranking[rank].id;
    if (each == 0) break;
    last_possible = rank;
  }
  return ranking[last_possible].id;  // the sum's rounding left it at uniform * total
}

}  // namespace

void compute(const ops::Sample& op, Context& context) {
  const std::int64_t m = op.logits.shape[0];
  const std::int64_t vocabulary = op.logits.shape[1];
  const auto* rows = static_cast<const float*>(op.logits.data);
  const auto* draws = static_cast<const float*>(op.uniform.data);
  auto* chosen = static_cast<std::int32_t*>(op.ids.data);
  const Allowed allowed(op.options, vocabulary);
  const auto finite = [&](std::int64_t i) {
    return !first_not_finite(
        std::span(rows + i * vocabulary, static_cast<std::size_t>(vocabulary)));
  };
  if (op.options.temperature == 0) {
    parallel_ranges(context.threads, m, 65536 / vocabulary + 1,
                    [&](std::int64_t begin, std::int64_t end) {
                      for (std::int64_t i = begin; i < end; ++i) {
                        chosen[i] = finite(i) ? largest(rows + i * vocabulary, allowed) : -1;
                      }
                    });
    return;
  }
  auto* candidates = context.scratch.reserve_array<Candidate>(
      static_cast<std::size_t>(context.threads.count() * vocabulary));
  constexpr double nanoseconds = 10;  // of a logit's exponential, in double precision
  parallel_items(context.threads, m, nanoseconds * static_cast<double>(m * vocabulary),
                 [&](std::int64_t i, int thread) {
                   chosen[i] = finite(i) ? draw(rows + i * vocabulary, allowed, op.options,
                                                draws[i], candidates + thread * vocabulary)
                                         : -1;
                 });
}

}  // namespace gist::cpu
