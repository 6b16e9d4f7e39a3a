#include "kernels/cpu/process_limits.h"

#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <optional>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

namespace gist::cpu {
namespace {

constexpr std::size_t unlimited = std::numeric_limits<std::size_t>::max();

/// A number that stands alone in a file; nothing where the file is missing or says "max".
std::optional<std::size_t> number_in(const std::filesystem::path& file) {
  std::ifstream in(file);
  std::size_t value = 0;
  if (in >> value) return value;
  return std::nullopt;
}

/// The number after a key in a file of lines "key number".
std::size_t number_after(const std::filesystem::path& file, const std::string& key) {
  std::ifstream in(file);
  std::string word;
  std::size_t value = 0;
  while (in >> word) {
    if (word == key && in >> value) return value;
    in.ignore(std::numeric_limits<std::streamsize>::max(), '\n');
  }
  return 0;
}

struct ControlGroup {
  std::filesystem::path mount;
  std::filesystem::path path;  // below the mount; may not be visible from within a container
  bool v2 = false;
};

/// The group that a controller ("memory", "cpu") holds this process in.
std::optional<ControlGroup> control_group(const std::string& controller) {
  std::ifstream in("/proc/self/cgroup");
  std::optional<ControlGroup> v2;
  for (std::string line; std::getline(in, line);) {  // "4:memory:/path" or "0::/path"
    const auto first = line.find(':');
    const auto second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    std::stringstream controllers(line.substr(first + 1, second - first - 1));
    const std::filesystem::path path =
        std::filesystem::path(line.substr(second + 1)).relative_path();
    if (second == first + 1) v2 = ControlGroup{"/sys/fs/cgroup", path, true};
    for (std::string each; std::getline(controllers, each, ',');) {
      if (each == controller) return ControlGroup{"/sys/fs/cgroup/" + controller, path, false};
    }
  }
  return v2;
}

/// Calls visit(directory) for the group and each of its ancestors: all of their limits hold.
template <typename Visit>
void for_each_ancestor(const ControlGroup& group, Visit visit) {
  for (std::filesystem::path below = group.path;; below = below.parent_path()) {
    visit(group.mount / below);
    if (below.empty()) return;
  }
}

std::size_t left_in_control_group() {
  const auto group = control_group("memory");
  if (!group) return unlimited;
  std::size_t left = unlimited;
  for_each_ancestor(*group, [&](const std::filesystem::path& directory) {
    const auto limit = number_in(directory / (group->v2 ? "memory.max" : "memory.limit_in_bytes"));
    const auto usage =
        number_in(directory / (group->v2 ? "memory.current" : "memory.usage_in_bytes"));
    if (!limit || !usage) return;
    // The page cache counts as used but is given up under pressure.
    const auto stat = directory / "memory.stat";
    const std::string prefix = group->v2 ? "" : "total_";
    const std::size_t cache =
        number_after(stat, prefix + "inactive_file") + number_after(stat, prefix + "active_file");
    const std::size_t used = *usage - std::min(*usage, cache);
    left = std::min(left, *limit - std::min(*limit, used));
  });
  return left;
}

std::size_t left_in_system() {
  const std::size_t kibibytes = number_after("/proc/meminfo", "MemAvailable:");
  return kibibytes > 0 ? kibibytes * 1024 : unlimited;
}

std::size_t left_in_address_space() {
  rlimit limit{};
  if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return unlimited;
  const std::size_t pages = number_in("/proc/self/statm").value_or(0);
  const std::size_t used = pages * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  const auto allowed = static_cast<std::size_t>(limit.rlim_cur);
  return allowed - std::min(allowed, used);
}

int processors_in_affinity() {
  // Machines may have more processors than cpu_set_t has bits.
  for (std::size_t words = 16; words <= 1024; words *= 2) {
    std::vector<unsigned long> set(words);
    const std::size_t bytes = words * sizeof(unsigned long);
    if (sched_getaffinity(0, bytes, reinterpret_cast<cpu_set_t*>(set.data())) == 0) {
      int processors = 0;
      for (const unsigned long word : set) processors += std::popcount(word);
      return std::max(processors, 1);
    }
    if (errno != EINVAL) break;
  }
  return std::max(static_cast<int>(std::thread::hardware_concurrency()), 1);
}

int processors_in_control_group() {
  const auto group = control_group("cpu");
  int processors = std::numeric_limits<int>::max();
  if (!group) return processors;
  for_each_ancestor(*group, [&](const std::filesystem::path& directory) {
    double quota = 0;
    double period = 0;
    if (group->v2) {
      std::ifstream in(directory / "cpu.max");  // "max 100000" or "200000 100000"
      if (!(in >> quota >> period)) return;
    } else {
      std::ifstream(directory / "cpu.cfs_quota_us") >> quota;
      std::ifstream(directory / "cpu.cfs_period_us") >> period;
    }
    if (quota > 0 && period > 0) {
      // Rounded up: threads that sleep when they have nothing to do leave no part of it unused.
      processors = std::min(processors, static_cast<int>(std::ceil(quota / period)));
    }
  });
  return processors;
}

}  // namespace

int usable_threads() {
  return std::min(processors_in_affinity(), processors_in_control_group());
}

std::size_t available_memory() {
  return std::min({left_in_system(), left_in_control_group(), left_in_address_space()});
}

}  // namespace gist::cpu
