// The backend that the tests of models run on: each program that they are linked into brings its
// own.
#pragma once

#include <memory>

#include "kernels/cpu/cpu_backend.h"

namespace gist {

/// As `options` say, as far as they concern it.
std::unique_ptr<Backend> test_backend(const CpuOptions& options = {});

}  // namespace gist
