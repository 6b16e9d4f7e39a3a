// A backend that counts what operations cost, whether or not it computes them. kernels/meta has
// one.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "kernels/backend.h"

namespace gist {

/// What an operation cost so far. A multiplication and an addition are two FLOPs; element-wise
/// operations count one FLOP an element and operation. `flops` counts attention by the pairs of
/// query and key that see each other: that much must be computed. (A kernel that works in tiles
/// computes the hidden pairs of a tile as well of which it needs one: up to a tile's edge more,
/// which depends on the device and is not counted.) `dense_flops` counts it as without a mask:
/// every query of a row with every key that the row lists, n x n for a sequence.
struct OpCost {
  std::int64_t calls = 0;
  std::int64_t flops = 0;
  std::int64_t dense_flops = 0;  // the same as flops but for attention
  std::int64_t bytes_read = 0;
  std::int64_t bytes_written = 0;
};

class CountingBackend : public Backend {
 public:
  virtual const std::map<std::string, OpCost>& costs() const = 0;  // by the operation's name
  virtual std::int64_t total_flops() const = 0;
  virtual void reset_costs() = 0;
};

}  // namespace gist
