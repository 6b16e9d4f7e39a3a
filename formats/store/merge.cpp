#include "formats/store/merge.h"

#include <algorithm>
#include <memory>
#include <string_view>
#include <tuple>
#include <unordered_map>

#include "formats/files/text.h"
#include "kernels/error.h"

namespace gist {
namespace {

struct Source {
  std::size_t store = 0;
  std::uint64_t row = 0;
};

struct OrderedSource {
  std::uint64_t ordinal = 0;
  Source source;
};

/// The header of all: rows own any number of gist tokens, and the header says the most.
StoreHeader common_header(const std::vector<GistStore>& stores) {
  const GistStore& first = stores.front();
  StoreHeader common = first.header();
  for (const GistStore& store : stores) {
    const std::int64_t tokens = store.header().gist_tokens;
    StoreHeader alike = first.header();
    alike.gist_tokens = tokens;
    common.gist_tokens = std::max(common.gist_tokens, tokens);
    const std::string difference = header_difference(alike, store.header(), true);
    if (!difference.empty()) {
      fail(ErrorKind::data, "{} and {} can't stand in one store: {}", first.path().string(),
           store.path().string(), difference);
    }
    if (store.has_hidden() != first.has_hidden()) {
      fail(ErrorKind::data, "{} and {} can't stand in one store: only one of them has /gist/hidden",
           first.path().string(), store.path().string());
    }
  }
  return common;
}

bool ordinals_rise(const GistStore& store) {
  for (std::uint64_t row = 1; row < store.rows(); ++row) {
    if (store.row(row - 1).ordinal >= store.row(row).ordinal) return false;
  }
  return true;
}

/// All rows in argument order; by ordinal where the stores are shards of one input, that is where
/// no ordinal comes twice and each store's own rise.
std::vector<Source> sources_in_order(const std::vector<GistStore>& stores) {
  std::vector<OrderedSource> all;
  for (std::size_t s = 0; s < stores.size(); ++s) {
    for (std::uint64_t row = 0; row < stores[s].rows(); ++row) {
      all.push_back({stores[s].row(row).ordinal, {s, row}});
    }
  }
  if (std::all_of(stores.begin(), stores.end(), ordinals_rise)) {
    std::vector<OrderedSource> sorted = all;
    const auto ordinal_before = [](const OrderedSource& a, const OrderedSource& b) {
      return a.ordinal < b.ordinal;
    };
    std::stable_sort(sorted.begin(), sorted.end(), ordinal_before);
    const auto same_ordinal = [](const OrderedSource& a, const OrderedSource& b) {
      return a.ordinal == b.ordinal;
    };
    if (std::adjacent_find(sorted.begin(), sorted.end(), same_ordinal) == sorted.end()) {
      all = std::move(sorted);
    }
  }
  std::vector<Source> order;
  order.reserve(all.size());
  for (const OrderedSource& ordered : all) order.push_back(ordered.source);
  return order;
}

/// Drops what `keep` leaves out and what is there already.
std::vector<Source> chosen_sources(const std::vector<GistStore>& stores,
                                   const std::function<bool(const std::string& id)>& keep,
                                   MergeResult& result) {
  std::unordered_map<std::string_view, Source> taken;
  std::vector<Source> chosen;
  for (const Source& source : sources_in_order(stores)) {
    const StoreRow row = stores[source.store].row(source.row);
    if (keep && !keep(row.id)) {
      ++result.left_out;
      continue;
    }
    const auto [found, is_new] = taken.emplace(stores[source.store].id(source.row), source);
    if (is_new) {
      chosen.push_back(source);
      continue;
    }
    const GistStore& other = stores[found->second.store];
    const StoreRow there = other.row(found->second.row);
    if (there.prompt_sha256 != row.prompt_sha256) {
      fail(ErrorKind::data, "id {} stands for one prompt in {} and for another in {}; leave it out",
           in_quotes(row.id), other.path().string(), stores[source.store].path().string());
    }
    if (there.gist_tokens != row.gist_tokens) {
      fail(ErrorKind::data,
           "id {} stands for gists of two lengths, {} in {} and {} in {}; leave it out",
           in_quotes(row.id), there.gist_tokens, other.path().string(), row.gist_tokens,
           stores[source.store].path().string());
    }
    ++result.duplicates;
  }
  return chosen;
}

}  // namespace

MergeResult merge_stores(const std::vector<std::filesystem::path>& inputs,
                         const std::filesystem::path& output, const MergeOptions& options) {
  if (inputs.empty()) fail(ErrorKind::usage, "merge needs at least one gist store");
  std::vector<GistStore> stores;
  stores.reserve(inputs.size());
  for (const std::filesystem::path& input : inputs) stores.emplace_back(input, options.reading);
  const StoreHeader header = common_header(stores);
  MergeResult result;
  const std::vector<Source> chosen = chosen_sources(stores, options.keep, result);
  result.rows = chosen.size();
  GistStoreWriter writer(output, header);
  std::uint64_t done = 0;
  if (options.rows_done) options.rows_done(done, result.rows);
  for (const Source& source : chosen) {
    const GistStore& store = stores[source.store];
    writer.append(store.row(source.row), store.raw_activations(source.row));
    if (options.rows_done) options.rows_done(++done, result.rows);
  }
  writer.publish(options.existing);
  return result;
}

}  // namespace gist
