#include "formats/model/unread_tensors.h"

#include <fnmatch.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <set>
#include <string_view>

namespace gist {
namespace {

/// The tensors that the model reads of this checkpoint: of names for the same weight the one that
/// is there, the declared name first.
std::set<std::string> read_names(const Checkpoint& checkpoint, const ModelSpec& spec) {
  std::set<std::string> names;
  for (const WeightSpec& weight : spec.weights) {
    if (!weight.tied_to.empty()) continue;
    for (int layer = 0; layer < copies_of(weight, spec); ++layer) {
      std::string name = weight_name(weight, layer);
      if (!checkpoint.tensors().contains(name)) {
        const std::vector<std::string> others = other_weight_names(weight, layer);
        const auto other = std::find_if(
            others.begin(), others.end(),
            [&](const std::string& candidate) { return checkpoint.tensors().contains(candidate); });
        if (other != others.end()) name = *other;
      }
      names.insert(std::move(name));
    }
  }
  return names;
}

bool equal(const StoredTensor& a, const StoredTensor& b) {
  return a.dtype == b.dtype && a.shape == b.shape && a.bytes == b.bytes &&
         (a.data == b.data || std::memcmp(a.data, b.data, a.bytes) == 0);
}

/// Whether a table of the vocabulary that the model reads has the same values.
bool is_copy(const StoredTensor& entry, const Checkpoint& checkpoint,
             const std::set<std::string>& read, const ModelSpec& spec) {
  if (entry.shape.size() != 2 || entry.shape[1] != spec.d_model) return false;
  return std::any_of(read.begin(), read.end(), [&](const std::string& name) {
    const auto found = checkpoint.tensors().find(name);
    return found != checkpoint.tensors().end() && equal(entry, *found->second);
  });
}

}  // namespace

bool is_computed(const std::string& name, const StoredTensor& entry) {
  constexpr std::array<std::string_view, 8> endings = {"rotary_emb.inv_freq",
                                                       "rotary_emb.cos_cached",
                                                       "rotary_emb.sin_cached",
                                                       "rope.freqs",
                                                       "freqs_cis",
                                                       "position_ids",
                                                       "attn.masked_bias",
                                                       "attention.masked_bias"};
  const auto ends = [&name](std::string_view ending) { return name.ends_with(ending); };
  if (std::any_of(endings.begin(), endings.end(), ends)) return true;
  // A causal mask [1, 1, n, n], which older versions kept as a buffer named like a bias.
  const std::vector<std::int64_t>& shape = entry.shape;
  const bool mask = shape.size() == 4 && shape[0] == 1 && shape[1] == 1 && shape[2] == shape[3];
  return mask && (ends("attn.bias") || ends("attention.bias"));
}

std::vector<std::string> unread_tensors(const Checkpoint& checkpoint, const ModelSpec& spec) {
  const std::set<std::string> read = read_names(checkpoint, spec);
  std::vector<std::string> unread;
  for (const auto& [name, entry] : checkpoint.tensors()) {
    if (read.contains(name) || is_computed(name, *entry)) continue;
    if (!is_copy(*entry, checkpoint, read, spec)) unread.push_back(name);
  }
  return unread;
}

std::string stored_untied(const std::vector<std::string>& unread, const ModelSpec& spec) {
  for (const WeightSpec& weight : spec.weights) {
    if (weight.tied_to.empty()) continue;
    if (std::find(unread.begin(), unread.end(), weight.name) != unread.end()) return weight.name;
  }
  return "";
}

bool matches_any(const std::string& name, const std::vector<std::string>& patterns) {
  return std::any_of(patterns.begin(), patterns.end(), [&](const std::string& pattern) {
    return ::fnmatch(pattern.c_str(), name.c_str(), 0) == 0;
  });
}

}  // namespace gist
