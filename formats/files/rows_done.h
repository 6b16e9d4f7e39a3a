// RowsDone tells how far work on the rows of a store is.
#pragma once

#include <cstdint>
#include <functional>

namespace gist {

/// Hears that so many rows of so many are done: of none before the first, of all at the end, and in
/// between as the work goes on. May be empty.
using RowsDone = std::function<void(std::uint64_t done, std::uint64_t all)>;

}  // namespace gist
