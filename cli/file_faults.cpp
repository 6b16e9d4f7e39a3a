#include "cli/file_faults.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdint>
#include <string_view>

#include "cli/exit_code.h"

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

/// The hexadecimal number at the text's begin, which is taken off with the character behind it.
std::uintptr_t take_number(std::string_view& text) {
  std::uintptr_t value = 0;
  while (!text.empty()) {
    const char c = text.front();
    text.remove_prefix(1);
    const bool digit = c >= '0' && c <= '9', letter = c >= 'a' && c <= 'f';
    if (!digit && !letter) break;
    value = value << 4U | static_cast<std::uintptr_t>(digit ? c - '0' : c - 'a' + 10);
  }
  return value;
}

/// The file in a line of /proc/self/maps (proc_pid_maps(5)) that has the address; "" where it is
/// another line.
std::string_view file_in(std::string_view line, std::uintptr_t address) {
  const std::uintptr_t begin = take_number(line), end = take_number(line);
  if (address < begin || address >= end) return "";
  const std::size_t path = line.find('/');
  return path == std::string_view::npos ? "" : line.substr(path);
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
    const std::string_view file = file_in({line.data(), length}, address);
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
