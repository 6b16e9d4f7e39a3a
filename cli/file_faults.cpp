#include "cli/file_faults.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdint>
#include <string_view>

#include "cli/exit_code.h"
#include "kernels/memory_map.h"

namespace gist {
namespace {

// All of this runs in a signal handler: no allocation, no locks, no errno of others.

void say(std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(STDERR_FILENO, text.data(), text.size());
    if (written <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
}

void say_file_at(std::uintptr_t address) {
  const int maps = ::open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
  std::array<char, 8192> line;
  std::size_t length = 0;
  char c = 0;
  while (maps >= 0 && ::read(maps, &c, 1) == 1) {
    if (c != '\n') {
      if (length < line.size()) line[length++] = c;
      continue;
    }
    const std::string_view file = file_mapped_at({line.data(), length}, address);
    if (!file.empty()) return say(file);
    length = 0;
  }
  say("a file");
}

void end_by_bus_error(int signal, siginfo_t* info, void*) {
  if (info->si_code != BUS_ADRERR) {  // no file's fault: the instruction is run again, and ends it
    ::signal(signal, SIG_DFL);
    return;
  }
  say("gist: ");
  say_file_at(reinterpret_cast<std::uintptr_t>(info->si_addr));
  say(": can't be read any more: it was made shorter while gist used it, or its disk failed\n");
  ::_exit(exit_io);
}

}  // namespace

void take_file_faults() {
  std::signal(SIGXFSZ, SIG_IGN);
  struct sigaction action {};
  action.sa_sigaction = end_by_bus_error;
  action.sa_flags = SA_SIGINFO;
  ::sigaction(SIGBUS, &action, nullptr);
}

}  // namespace gist
