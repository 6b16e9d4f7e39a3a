// This file says where plugins are searched, and what is found there, without loading any.
#include <algorithm>
#include <map>
#include <system_error>

#include "kernels/error.h"
#include "kernels/installation.h"
#include "plugins/host/manifest.h"
#include "plugins/host/plugin_host.h"

namespace gist {
namespace {

namespace fs = std::filesystem;

void add(std::vector<PluginDirectory>& directories, const fs::path& path, const char* origin) {
  PluginDirectory directory{path.lexically_normal(), origin, ""};
  std::error_code error;
  const auto same = [&](const PluginDirectory& earlier) {
    std::error_code unequal;
    return earlier.ignored.empty() && fs::equivalent(earlier.path, directory.path, unequal);
  };
  if (path.empty()) {
    directory.ignored = "empty";
  } else if (!path.is_absolute()) {
    directory.ignored = "relative path";
  } else if (!fs::exists(path, error)) {
    directory.ignored = "does not exist";
  } else if (!fs::is_directory(path, error)) {
    directory.ignored = "not a directory";
  } else if (std::any_of(directories.begin(), directories.end(), same)) {
    directory.ignored = "searched already";
  }
  directories.push_back(std::move(directory));
}

void add_list(std::vector<PluginDirectory>& directories, const std::string& list,
              const char* origin) {
  for (std::size_t begin = 0; begin <= list.size();) {
    const std::size_t end = std::min(list.find(':', begin), list.size());
    add(directories, list.substr(begin, end - begin), origin);
    begin = end + 1;
  }
}

void add_installed(std::vector<PluginDirectory>& directories) {
  std::error_code error;
  const fs::path prefix = installation_prefix();
  if (prefix.empty()) return;
  // In a build tree the program is PREFIX/cli/gist, and the plugins are in PREFIX/plugins.
  if (fs::exists(prefix / "CMakeCache.txt", error)) {
    add(directories, prefix / "plugins", "installed");
  }
  add(directories, prefix / GIST_LIBRARY_DIRECTORY / "gist/plugins", "installed");
}

PluginEntry entry_of(const fs::path& manifest_path) {
  PluginEntry entry;
  entry.manifest = manifest_path;
  entry.name = manifest_path.filename().string();
  entry.name.resize(entry.name.size() - manifest_suffix.size());
  try {
    Manifest manifest = read_manifest(manifest_path);
    entry.name = manifest.name;
    entry.library = manifest.library;
    entry.version = manifest.version;
    entry.abi_major = manifest.abi_major;
    entry.abi_minor = manifest.abi_minor;
    entry.families = std::move(manifest.families);
    entry.architectures = std::move(manifest.architectures);
    std::error_code error;
    if (!fs::is_regular_file(entry.library, error)) {
      entry.refused = fmt::format("its library {} is missing", entry.library.string());
    } else {
      entry.refused = abi_mismatch(entry.abi_major, entry.abi_minor);
    }
  } catch (const Error& error) {
    entry.refused = error.what();
  }
  return entry;
}

/// Libraries in the directory that no manifest there names.
std::vector<PluginEntry> without_manifest(const fs::path& directory,
                                          const std::vector<PluginEntry>& known) {
  std::vector<PluginEntry> found;
  std::error_code error;
  for (fs::directory_iterator at(directory, error), end; !error && at != end; at.increment(error)) {
    const fs::path& path = at->path();
    if (path.extension() != ".so") continue;
    const auto names_it = [&](const PluginEntry& entry) { return entry.library == path; };
    if (std::any_of(known.begin(), known.end(), names_it)) continue;
    PluginEntry entry;
    entry.name = path.stem().string();
    entry.library = path;
    // A broken manifest of its name is an entry of its own, which says why.
    if (fs::exists(manifest_path_for(path))) continue;
    entry.refused =
        fmt::format("it has no manifest {} beside it", manifest_path_for(path).filename().string());
    found.push_back(std::move(entry));
  }
  std::sort(found.begin(), found.end(),
            [](const PluginEntry& a, const PluginEntry& b) { return a.library < b.library; });
  return found;
}

}  // namespace

std::vector<PluginDirectory> plugin_directories(const PluginSearch& search) {
  std::vector<PluginDirectory> directories;
  for (const std::string& list : search.first) add_list(directories, list, first_origin);
  if (!search.variable.empty()) add_list(directories, search.variable, "GIST_PLUGIN_PATH");
  if (!search.user_data.empty()) add(directories, search.user_data / "gist/plugins", "user");
  add_installed(directories);
  return directories;
}

std::vector<PluginEntry> find_plugins(const std::vector<PluginDirectory>& directories,
                                      const std::map<fs::path, std::string>& unusable) {
  std::vector<PluginEntry> entries;
  std::map<std::string, fs::path> served;  // by a family's id
  for (const PluginDirectory& directory : directories) {
    if (!directory.ignored.empty()) continue;
    std::vector<PluginEntry> here;
    for (const fs::path& manifest : manifests_in(directory.path)) {
      PluginEntry entry = entry_of(manifest);
      const auto reason = unusable.find(entry.library);
      if (reason != unusable.end() && entry.refused.empty()) entry.refused = reason->second;
      for (const std::string& family : entry.families) {
        const auto earlier = served.find(family);
        if (!entry.refused.empty() || earlier == served.end()) continue;
        entry.shadowed = true;
        entry.refused =
            fmt::format("family '{}' is served by {}, which comes first in the search order",
                        family, earlier->second.string());
      }
      if (entry.refused.empty()) {
        for (const std::string& family : entry.families) served.emplace(family, entry.library);
      }
      here.push_back(std::move(entry));
    }
    std::vector<PluginEntry> bare = without_manifest(directory.path, here);
    std::move(bare.begin(), bare.end(), std::back_inserter(here));
    for (PluginEntry& entry : here) entry.origin = directory.origin;
    std::move(here.begin(), here.end(), std::back_inserter(entries));
  }
  return entries;
}

}  // namespace gist
