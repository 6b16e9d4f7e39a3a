// The operations as a plugin calls them: the host's side of gist_ops.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/ops/ops.h"
#include "core/pass.h"
#include "kernels/error.h"
#include "plugins/sdk/gist/plugin.h"

/// A model's side of its callbacks: the tensors of the one that runs. Handles count callbacks in
/// their upper bits, so that one from an earlier callback is told from this one's.
struct gist_pass {
  struct Failure {
    gist::ErrorKind kind = gist::ErrorKind::unavailable;
    std::string message;
  };

  gist::Pass* pass = nullptr;  // null while no callback runs
  bool in_layer = false;
  bool attended = false;  // to the stack's own tokens
  bool attended_cross = false;
  std::uint32_t callback = 0;
  std::vector<gist::Tensor> tensors;
  std::map<gist_tensor, gist::Routing> routings;  // by the handles of their weights
  std::optional<Failure> failure;                 // the first

  static constexpr std::uint32_t index_bits = 20;
  static constexpr std::uint32_t most_tensors = (1U << index_bits) - 1;

  void begin(gist::Pass& running, bool layer);
  gist_tensor add(const gist::Tensor& tensor);
  /// The tensor of a handle of this callback; throws Error(unavailable) for any other handle.
  const gist::Tensor& tensor(gist_tensor handle) const;
};

namespace gist {

/// The operations. They let no exception out: the first is kept in the pass.
const gist_ops& op_table();

}  // namespace gist
