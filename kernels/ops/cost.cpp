#include "kernels/ops/cost.h"

namespace gist {
namespace {

std::int64_t bytes_of(std::initializer_list<const Tensor*> tensors) {
  std::int64_t bytes = 0;
  for (const Tensor* tensor : tensors) {
    if (tensor->data != nullptr) bytes += static_cast<std::int64_t>(tensor->bytes());
  }
  return bytes;
}

}  // namespace

OpCost& OpCost::operator+=(const OpCost& other) {
  calls += other.calls;
  flops += other.flops;
  dense_flops += other.dense_flops;
  bytes_read += other.bytes_read;
  bytes_written += other.bytes_written;
  return *this;
}

OpCost one_call(std::int64_t flops, std::initializer_list<const Tensor*> read,
                std::initializer_list<const Tensor*> written, std::int64_t also_read) {
  return {1, flops, flops, bytes_of(read) + also_read, bytes_of(written)};
}

}  // namespace gist
