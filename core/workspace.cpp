#include "core/workspace.h"

#include <algorithm>

namespace gist {
namespace {

constexpr std::size_t alignment_bytes = 64;
constexpr std::size_t smallest_chunk = std::size_t{1} << 20;

std::size_t round_up(std::size_t bytes) {
  return (bytes + alignment_bytes - 1) / alignment_bytes * alignment_bytes;
}

}  // namespace

Tensor Workspace::allocate(const Shape& shape, Dtype dtype) {
  Tensor tensor{nullptr, dtype, shape};
  const std::size_t bytes = round_up(std::max<std::size_t>(tensor.bytes(), 1));
  if (chunks_.empty() || chunks_.back().buffer.bytes() - chunks_.back().used < bytes) {
    // Chunks grow, so that a pass of any size needs few of them.
    std::size_t total = 0;
    for (const Chunk& chunk : chunks_) total += chunk.buffer.bytes();
    chunks_.push_back({backend_->allocate(std::max({bytes, smallest_chunk, total / 2})), 0});
  }
  Chunk& chunk = chunks_.back();
  tensor.data = static_cast<std::byte*>(chunk.buffer.data()) + chunk.used;
  chunk.used += bytes;
  return tensor;
}

Tensor Workspace::upload(const Shape& shape, Dtype dtype, const void* source) {
  const Tensor tensor = allocate(shape, dtype);
  if (shape.elements() > 0) backend_->upload(tensor, source);
  return tensor;
}

void Workspace::reset() {
  if (chunks_.size() > 1) {
    std::size_t total = 0;
    for (const Chunk& chunk : chunks_) total += chunk.used;
    chunks_.clear();
    // Some more: while rows are decoded, each pass takes a little more than the last.
    chunks_.push_back({backend_->allocate(round_up(total + total / 4)), 0});
  }
  if (!chunks_.empty()) chunks_.back().used = 0;
}

void Workspace::describe(std::vector<std::uint64_t>& words) const {
  words.push_back(chunks_.size());
  for (const Chunk& chunk : chunks_) {
    words.push_back(reinterpret_cast<std::uintptr_t>(chunk.buffer.data()));
    words.push_back(chunk.buffer.bytes());
    words.push_back(chunk.used);
  }
}

std::vector<float> downloaded(Backend& backend, const Tensor& tensor) {
  std::vector<float> values(static_cast<std::size_t>(tensor.shape.elements()));
  backend.download(tensor, values.data());
  return values;
}

}  // namespace gist
