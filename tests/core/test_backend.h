// The backend that the tests of models run on: each program that they are linked into brings its
// own.
#pragma once

#include <cstdint>
#include <memory>

#include "kernels/cpu/cpu_backend.h"

namespace gist {

/// Returns the backend under test, made as `options` say as far as they concern it.
std::unique_ptr<Backend> test_backend(const CpuOptions& options = {});

/// Returns how many tokens a test generates that would generate `usual`: fewer where a step takes
/// long, as in emulation.
std::int32_t generated_tokens(std::int32_t usual);

}  // namespace gist
