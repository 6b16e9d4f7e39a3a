// Plugins on disk: where they are searched, what their manifests say, and loading one.
#pragma once

#include <chrono>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "core/model.h"

namespace gist {

/// PluginSearch says where plugins are looked for before the place where gist is installed.
struct PluginSearch {
  std::vector<std::string> first = {};   // each a directory, or a list of them separated by ':'
  std::string variable = {};             // such a list, of GIST_PLUGIN_PATH
  std::filesystem::path user_data = {};  // the user's data directory, as XDG calls it; "" for none
};

/// The origin of what stands in PluginSearch::first.
inline constexpr const char* first_origin = "--plugin-path";

/// A place that is searched.
struct PluginDirectory {
  std::filesystem::path path;
  std::string origin;  // first_origin, "GIST_PLUGIN_PATH", "user", "installed"
  /// Why it isn't searched ("relative path", "empty", "does not exist"); "" where it is.
  std::string ignored;
};

/// PluginEntry is what a manifest NAME.gist.json says, and whether the library beside it may be
/// loaded.
struct PluginEntry {
  std::string name;
  std::string origin;  // of the directory
  std::filesystem::path manifest;
  std::filesystem::path library;
  std::string version;
  int abi_major = 0;
  int abi_minor = 0;
  std::vector<std::string> families;
  std::vector<std::string> architectures;
  std::string refused;    // why it can't be used; "" where it can
  bool shadowed = false;  // that is for an earlier entry that serves a family of the same id
};

/// The search path: `first`, `variable`, USER_DATA/gist/plugins, and the plugins' directory of the
/// place where gist is installed (kernels/installation.h). Each entry is listed, those that aren't
/// searched with the reason.
std::vector<PluginDirectory> plugin_directories(const PluginSearch& search);

/// Every manifest in these directories, in search order, and libraries without one (refused). An id
/// that an earlier entry serves is refused, naming the earlier one. `unusable`: libraries that are
/// refused whatever their manifests say, and why.
std::vector<PluginEntry> find_plugins(
    const std::vector<PluginDirectory>& directories,
    const std::map<std::filesystem::path, std::string>& unusable = {});

/// Loads the family that serves the configuration's `architectures`, or its "model_type" where it
/// names none (or the one named `family`, where it is not empty), and configures it. Of several the
/// one in the directory that is searched first serves, which ModelSpec::warnings tells; one that
/// declines leaves the configuration to the next. So does one whose library can't be loaded, with a
/// warning, unless the caller asked for it: by `family`, or by PluginSearch::first. Throws
/// Error(unavailable) saying what was searched and why each candidate was refused, and where two of
/// one directory serve it; Error(data) where the family rejects the configuration, or config.json has
/// no architectures. `where` names the configuration in messages: its path.
std::unique_ptr<Family> load_family(const std::vector<PluginDirectory>& directories,
                                    const nlohmann::json& config, const std::string& where,
                                    const std::string& family);

/// One check of `gist plugins check`.
struct PluginCheck {
  std::string name;
  std::string failed;  // what was expected and found, and what to look at; "" where it passed
  std::string family;  // "" for the checks of the library as a whole
};

/// What is checked, and how.
struct PluginCheckOptions {
  std::chrono::milliseconds limit = std::chrono::seconds(60);  // of one check
  std::filesystem::path checkpoint = {};  // a model's directory, for the check of that name
  std::filesystem::path golden = {};      // of that checkpoint, for the check of that name
  std::vector<std::string> only = {};     // names of checks, beside "manifest"; empty: all
};

/// Checks a library: "manifest" and "abi"; then each family on the configuration in the manifest's
/// "check" entry, a small model of it with random weights: that it takes it ("configure"), "config
/// keys", "integer keys", "weights", "state", "windows" (plugins/host/check says what each finds) and
/// "gist invariant"; then the library on a real model ("checkpoint", "golden"). Each check that loads
/// the library runs in a child process, the program gist-plugin-check, so that a crash is a failed
/// check, and so is one that takes longer than the limit. Checks that can't run because an earlier one
/// failed are left out. Throws Error(no_input) where the library doesn't exist.
std::vector<PluginCheck> check_plugin(const std::filesystem::path& library,
                                      const PluginCheckOptions& options = {});

}  // namespace gist
