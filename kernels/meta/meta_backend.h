// Shapes only: nothing is allocated or computed, everything is counted. Drives --dry-run.
#pragma once

#include <memory>

#include "kernels/counting_backend.h"

namespace gist {

/// Weights and matrix products are counted in `dtype`.
std::unique_ptr<CountingBackend> make_meta_backend(Dtype dtype = Dtype::f32);

}  // namespace gist
