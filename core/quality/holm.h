// Several tests at once: of many metrics without any difference some look different by chance. S.
// Holm 1979, "A simple sequentially rejective multiple test procedure", keeps the chance of one
// such error or more among all of them.
#pragma once

#include <span>
#include <vector>

namespace gist {

/// Each p, adjusted for standing among the others: the k-th smallest of m times m - k + 1, at least
/// as large as those before it, at most 1. What is no number stays so, and doesn't count.
std::vector<double> holm_adjusted(std::span<const double> p);

}  // namespace gist
