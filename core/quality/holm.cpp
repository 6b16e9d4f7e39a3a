#include "core/quality/holm.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace gist {

std::vector<double> holm_adjusted(std::span<const double> p) {
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < p.size(); ++i) {
    if (!std::isnan(p[i])) order.push_back(i);
  }
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return p[a] < p[b]; });
  std::vector<double> adjusted(p.begin(), p.end());
  double before = 0;
  for (std::size_t k = 0; k < order.size(); ++k) {
    const auto left = static_cast<double>(order.size() - k);
    before = std::max(before, std::min(1.0, left * p[order[k]]));
    adjusted[order[k]] = before;
  }
  return adjusted;
}

}  // namespace gist
