// Texts, looked up by all that a longer text begins with.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

namespace gist {

class ByteTrie {
 public:
  /// Keys that aren't empty, each with a value of its own >= 0. Of equal keys the first counts.
  explicit ByteTrie(std::vector<std::pair<std::string_view, std::int32_t>> keys = {});

  /// Calls found(bytes, value) for each key that the text begins with, the shortest first.
  template <typename Found>
  void each_prefix(std::string_view text, Found&& found) const {
    std::size_t node = 0;
    for (std::size_t at = 0; at < text.size(); ++at) {
      node = child(node, static_cast<unsigned char>(text[at]));
      if (node == 0) return;
      if (nodes_[node].value >= 0) found(at + 1, nodes_[node].value);
    }
  }

 private:
  struct Node {
    std::uint32_t first_edge = 0;
    std::uint32_t edges = 0;
    std::int32_t value = -1;
  };
  struct Edge {
    unsigned char label;
    std::uint32_t node;
  };

  /// 0, the root, where there is none.
  std::size_t child(std::size_t node, unsigned char label) const {
    if (node == 0) return from_root_[label];
    const Edge* edge = edges_.data() + nodes_[node].first_edge;
    std::uint32_t count = nodes_[node].edges;
    while (count > 8) {  // halves until few are left
      const std::uint32_t half = count / 2;
      if (edge[half].label <= label) {
        edge += half;
        count -= half;
      } else {
        count = half;
      }
    }
    for (std::uint32_t i = 0; i < count; ++i) {
      if (edge[i].label == label) return edge[i].node;
    }
    return 0;
  }

  std::vector<Node> nodes_;
  std::vector<Edge> edges_;
  std::vector<std::uint32_t> from_root_;  // by label: most look-ups end there
};

}  // namespace gist
