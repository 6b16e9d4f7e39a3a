// What this process may use of the machine: processors and memory, within its control group.
#pragma once

#include <cstddef>

namespace gist::cpu {

/// Threads that can run at once: the processors the process may run on, not more than its control
/// group's quota or OMP_NUM_THREADS.
int usable_threads();

/// Bytes that can be allocated without swapping or being killed: the least of what the system, the
/// control group and the address space limit leave.
std::size_t available_memory();

}  // namespace gist::cpu
