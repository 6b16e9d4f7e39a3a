// Weights as matrix products read them.
#pragma once

#include <cstddef>
#include <cstdint>

namespace gist {

/// A weight matrix [n, k] as gemm reads it: packed once in the backend's own layout
/// (Backend::pack), or where it stands (Backend::plain). It may not outlive its backend.
class Matrix {
 public:
  virtual ~Matrix() = default;
  virtual std::int64_t n() const = 0;
  virtual std::int64_t k() const = 0;
  virtual std::size_t bytes() const = 0;
};

}  // namespace gist
