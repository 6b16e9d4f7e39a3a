// A backend that counts what operations cost, whether or not it computes them. kernels/meta has
// one.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "kernels/backend.h"
#include "kernels/ops/cost.h"

namespace gist {

class CountingBackend : public Backend {
 public:
  virtual const std::map<std::string, OpCost>& costs() const = 0;  // by the operation's name
  virtual std::int64_t total_flops() const = 0;
  virtual void reset_costs() = 0;
};

}  // namespace gist
