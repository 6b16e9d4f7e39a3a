// A program that runs beside this one, with a time limit, and reports through a pipe.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace gist {

inline constexpr int report_descriptor = 3;  // which the child writes its report to

struct ChildReport {
  std::string text;  // what it wrote, at most 64 KiB
  /// "" where it exited with status 0, else how it ended: "was killed by signal 11 ...".
  std::string ended;
};

/// Runs a program to its end, or kills it at the limit, and with it in either case what it started
/// and left running (unless that made itself a process group of its own). Its standard output goes
/// to standard error, and its standard input is empty. It starts from a clean state, by posix_spawn
/// rather than fork, so it doesn't matter which threads run here. `hear`, where there is one, sees
/// what the child has written whenever that has become more, and may take away what it has
/// understood. Throws Error(unavailable) where the program can't be started.
ChildReport run_child(const std::filesystem::path& program,
                      const std::vector<std::string>& arguments, std::chrono::milliseconds limit,
                      const std::function<void(std::string& text)>& hear = {});

}  // namespace gist
