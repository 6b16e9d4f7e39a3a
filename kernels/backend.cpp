#include "kernels/backend.h"

#include <utility>

namespace gist {

Buffer::Buffer(Backend& backend, void* data, std::size_t bytes)
    : backend_(&backend), data_(data), bytes_(bytes) {}

Buffer::Buffer(Buffer&& other) noexcept
    : backend_(std::exchange(other.backend_, nullptr)),
      data_(std::exchange(other.data_, nullptr)),
      bytes_(std::exchange(other.bytes_, 0)) {}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  std::swap(backend_, other.backend_);
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

Buffer::~Buffer() {
  if (backend_ != nullptr) backend_->release(data_, bytes_);
}

}  // namespace gist
