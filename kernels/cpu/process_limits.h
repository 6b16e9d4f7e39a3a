// These functions say what this process may use of the machine: processors and memory, within its
// control group.
#pragma once

#include <cstddef>

namespace gist::cpu {

/// Threads that can run at once: the processors that the process may run on (its affinity), not
/// more than its control group's quota, rounded up.
int usable_threads();

/// Bytes that can be allocated without swapping or being killed: the least of what the system, the
/// control group and the address space limit leave.
std::size_t available_memory();

}  // namespace gist::cpu
