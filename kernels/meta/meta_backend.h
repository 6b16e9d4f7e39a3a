// Shapes only: nothing is allocated or computed, everything is counted. Drives --dry-run.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "kernels/backend.h"

namespace gist {

/// What an operation cost so far. A multiplication and an addition are two FLOPs; attention is
/// counted by visible pairs; element-wise operations count one FLOP an element and operation.
struct OpCost {
  std::int64_t calls = 0;
  std::int64_t flops = 0;
  std::int64_t bytes_read = 0;
  std::int64_t bytes_written = 0;
};

class MetaBackend : public Backend {
 public:
  virtual const std::map<std::string, OpCost>& costs() const = 0;  // by the operation's name
  virtual std::int64_t total_flops() const = 0;
  virtual void reset_costs() = 0;
};

/// Weights and matrix products are counted in `dtype`.
std::unique_ptr<MetaBackend> make_meta_backend(Dtype dtype = Dtype::f32);

}  // namespace gist
