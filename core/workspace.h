// Memory of one pass: a bump allocator over chunks of device memory. Nothing is freed one by one;
// `reset` makes all of it free again and keeps the chunks, so a loop of equal steps allocates only
// in its first two, and one of slowly growing steps seldom.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/backend.h"

namespace gist {

class Workspace {
 public:
  explicit Workspace(Backend& backend) : backend_(&backend) {}

  /// A tensor with undefined contents, valid until the next reset.
  Tensor allocate(const Shape& shape, Dtype dtype = Dtype::f32);
  /// A tensor filled from host memory that holds shape.elements() values.
  Tensor upload(const Shape& shape, Dtype dtype, const void* source);
  /// Forgets all tensors. Where several chunks were needed, the next pass gets one that holds all.
  void reset();

  /// Adds what the addresses of the next tensors depend on, but for their shapes: equal words,
  /// equal addresses.
  void describe(std::vector<std::uint64_t>& words) const;

  Backend& backend() const { return *backend_; }

 private:
  struct Chunk {
    Buffer buffer;
    std::size_t used = 0;
  };
  Backend* backend_;
  std::vector<Chunk> chunks_;
};

/// The values of an f32 tensor; waits for what makes them.
std::vector<float> downloaded(Backend& backend, const Tensor& tensor);

}  // namespace gist
