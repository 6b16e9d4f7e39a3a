#include "gist/fidelity_tenths.h"

#include <algorithm>
#include <cmath>

namespace gist {
namespace {

constexpr std::size_t parts = 10;
constexpr double wanted_same = 0.9;
constexpr std::size_t least_records = 20;

bool same(const RecordResult& record) {
  return record.fidelity.agreements == record.fidelity.labels;
}

using Sorted = std::vector<const RecordResult*>;

FidelityTenth tenth_of(std::span<const RecordResult* const> records) {
  FidelityTenth tenth;
  tenth.records = records.size();
  double labels = 0;
  for (const RecordResult* each : records) {
    labels += each->fidelity.labels;
    tenth.agreement += each->fidelity.agreements;
    tenth.same += same(*each) ? 1 : 0;
    tenth.exact += each->scores.exact ? 1 : 0;
  }
  tenth.max_kl = records.back()->fidelity.per_label();
  tenth.agreement /= labels;
  tenth.same /= static_cast<double>(records.size());
  tenth.exact /= static_cast<double>(records.size());
  return tenth;
}

/// Records one after the other in the order of their divergence, that a fit gives one share.
struct Block {
  std::size_t records = 0, alike = 0;
  double share() const { return static_cast<double>(alike) / static_cast<double>(records); }
};

/// The share of records that are answered alike, never rising: neighbours that would rise are
/// pooled (Ayer et al. 1955, "An empirical distribution function for sampling with incomplete
/// information"). Records of one divergence are in one block.
std::vector<Block> falling_shares(const Sorted& sorted) {
  std::vector<Block> blocks;
  for (std::size_t i = 0; i < sorted.size();) {
    Block block;
    const double kl = sorted[i]->fidelity.per_label();
    for (; i < sorted.size() && sorted[i]->fidelity.per_label() == kl; ++i) {
      ++block.records;
      block.alike += std::isfinite(kl) && same(*sorted[i]) ? 1 : 0;
    }
    while (!blocks.empty() && blocks.back().share() <= block.share()) {
      block.records += blocks.back().records;
      block.alike += blocks.back().alike;
      blocks.pop_back();
    }
    blocks.push_back(block);
  }
  return blocks;
}

void suggest(const Sorted& sorted, FidelityTenths& found) {
  std::size_t kept = 0, alike = 0;
  for (const Block& block : falling_shares(sorted)) {
    if (block.share() < wanted_same) break;
    kept += block.records;
    alike += block.alike;
  }
  if (sorted.size() < least_records || kept * parts < sorted.size()) return;
  const double kl = sorted[kept - 1]->fidelity.per_label();
  found.suggested = kl;
  found.kept = kept;
  found.kept_same = static_cast<double>(alike) / static_cast<double>(kept);
}

}  // namespace

FidelityTenths fidelity_tenths(std::span<const RecordResult> records) {
  Sorted sorted;
  for (const RecordResult& each : records) {
    if (each.fidelity.labels > 0) sorted.push_back(&each);
  }
  std::stable_sort(sorted.begin(), sorted.end(), [](const RecordResult* a, const RecordResult* b) {
    return a->fidelity.per_label() < b->fidelity.per_label();
  });
  FidelityTenths found;
  const std::size_t count = std::min(parts, sorted.size());
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t begin = sorted.size() * i / count, end = sorted.size() * (i + 1) / count;
    found.tenths.push_back(tenth_of(std::span(sorted).subspan(begin, end - begin)));
  }
  suggest(sorted, found);
  return found;
}

}  // namespace gist
