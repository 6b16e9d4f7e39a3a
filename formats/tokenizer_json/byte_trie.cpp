#include "formats/tokenizer_json/byte_trie.h"

#include <algorithm>
#include <deque>

namespace gist {
namespace {

/// Sorted keys [begin, end) that have their first `depth` bytes in common.
struct KeyRange {
  std::size_t begin, end, depth;
  std::uint32_t node;
};

}  // namespace

ByteTrie::ByteTrie(std::vector<std::pair<std::string_view, std::int32_t>> keys) {
  std::stable_sort(keys.begin(), keys.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  nodes_.emplace_back();
  from_root_.assign(256, 0);
  std::deque<KeyRange> open = {{0, keys.size(), 0, 0}};
  while (!open.empty()) {
    KeyRange range = open.front();
    open.pop_front();
    const std::size_t depth = range.depth;
    for (; range.begin < range.end && keys[range.begin].first.size() == depth; ++range.begin) {
      std::int32_t& value = nodes_[range.node].value;
      if (depth > 0 && value < 0) value = keys[range.begin].second;
    }
    nodes_[range.node].first_edge = static_cast<std::uint32_t>(edges_.size());
    while (range.begin < range.end) {
      const char label = keys[range.begin].first[depth];
      std::size_t end = range.begin;
      while (end < range.end && keys[end].first[depth] == label) ++end;
      const auto node = static_cast<std::uint32_t>(nodes_.size());
      nodes_.emplace_back();
      edges_.push_back({static_cast<unsigned char>(label), node});
      ++nodes_[range.node].edges;
      if (range.node == 0) from_root_[static_cast<unsigned char>(label)] = node;
      open.push_back({range.begin, end, depth + 1, node});
      range.begin = end;
    }
  }
}

}  // namespace gist
