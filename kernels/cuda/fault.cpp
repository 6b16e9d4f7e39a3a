#include <utility>

#include "kernels/cuda/device.h"
#include "kernels/error.h"

namespace gist::cuda {

void throw_fault(Fault& fault) {
  if (fault.what == 0) return;
  const Fault found = std::exchange(fault, Fault{});
  // NOLINTNEXTLINE(performance-no-int-to-ptr): the number was made from this pointer
  const auto* what = reinterpret_cast<const char*>(found.what);
  fail(ErrorKind::internal, "{} within [0, {}); the one with index {} is {}", what, found.limit,
       found.index, found.value);
}

void refuse_while_recording(const char* call, const char* operation) {
  fail(ErrorKind::internal, "{}: {} while operations are recorded; a replay would not repeat it",
       operation, call);
}

}  // namespace gist::cuda
