// `gist plugins check`, the parent's side; plugin_check_main.cpp is the child's.
#include <algorithm>
#include <array>
#include <string_view>

#include "formats/files/child_process.h"
#include "formats/files/helper_program.h"
#include "kernels/error.h"
#include "plugins/host/manifest.h"
#include "plugins/host/plugin_host.h"

namespace gist {
namespace {

namespace fs = std::filesystem;

fs::path check_program() {
  return helper_program("gist-plugin-check",
                        "plugins are checked by this program, in a process of its own");
}

/// The manifest beside the library that names it.
Manifest manifest_of(const fs::path& library) {
  for (const fs::path& path : manifests_in(library.parent_path())) {
    try {
      Manifest manifest = read_manifest(path);
      if (manifest.library == library) return manifest;
    } catch (const Error&) {
      // Broken ones belong to others, unless the library has none else.
    }
  }
  const fs::path expected = manifest_path_for(library);
  if (!fs::exists(expected)) {
    fail(ErrorKind::unavailable, "{}: missing: expected it beside the library", expected.string());
  }
  const Manifest other = read_manifest(expected);
  fail(ErrorKind::unavailable, "{}: \"library\" is {}, expected {}", expected.string(),
       other.library.filename().string(), library.filename().string());
}

std::string broken_manifest(const Manifest& manifest) {
  std::string mismatch = abi_mismatch(manifest.abi_major, manifest.abi_minor);
  if (!mismatch.empty()) return mismatch;
  for (const std::string& family : manifest.families) {
    const auto config = manifest.check.find(family);
    if (config == manifest.check.end() || !config->is_object()) {
      return fmt::format("\"check\" has no configuration for the family '{}'", family);
    }
  }
  return "";
}

/// Runs one check in a child process. It writes lines of what it tries, and last "passed", or
/// "failed" and the reason.
std::string failure_of(const std::vector<std::string>& arguments, std::chrono::milliseconds limit) {
  constexpr std::string_view failed = "failed ";
  constexpr std::string_view trying = "trying ";
  std::string tried;
  const ChildReport report = run_child(check_program(), arguments, limit, [&](std::string& text) {
    for (std::size_t end = 0; text.starts_with(trying); text.erase(0, end + 1)) {
      end = text.find('\n');
      if (end == std::string::npos) return;
      tried = text.substr(trying.size(), end - trying.size());
    }
  });
  if (report.text.starts_with(failed)) return report.text.substr(failed.size());
  const std::string at = tried.empty() ? "" : ", with " + tried;
  if (!report.ended.empty()) return "the process that loaded the library " + report.ended + at;
  if (report.text != "passed") return "the library ended the process that loaded it" + at;
  return "";
}

constexpr std::array family_checks = {"config keys", "integer keys", "weights",
                                      "state",       "windows",      "gist invariant"};

bool is_wanted(const PluginCheckOptions& options, std::string_view check) {
  const std::vector<std::string>& only = options.only;
  return only.empty() || std::find(only.begin(), only.end(), check) != only.end();
}

/// The checks of one family on its configuration. The others need one that is taken.
void check_family(const Manifest& manifest, const std::string& family,
                  const PluginCheckOptions& options, std::vector<PluginCheck>& checks) {
  const std::string library = manifest.library.string();
  const std::string config = manifest.check[family].dump();
  const auto run = [&](const char* name) {
    checks.push_back({name, failure_of({name, library, family, config}, options.limit), family});
    return checks.back().failed.empty();
  };
  if (is_wanted(options, "configure") && !run("configure")) return;
  for (const char* name : family_checks) {
    if (is_wanted(options, name)) run(name);
  }
}

/// The checks of a library on a real model.
void check_checkpoint(const Manifest& manifest, const PluginCheckOptions& options,
                      std::vector<PluginCheck>& checks) {
  const std::string library = manifest.library.string();
  const std::string model = options.checkpoint.string();
  const auto run = [&](const char* name, const std::vector<std::string>& arguments) {
    if (is_wanted(options, name))
      checks.push_back({name, failure_of(arguments, options.limit), ""});
  };
  if (!model.empty()) run("checkpoint", {"checkpoint", library, model});
  if (!options.golden.empty()) {
    run("golden", {"golden", library, model, options.golden.string()});
  }
}

}  // namespace

std::vector<PluginCheck> check_plugin(const fs::path& path, const PluginCheckOptions& options) {
  std::error_code error;
  const fs::path library = fs::canonical(path, error);
  if (error) fail(ErrorKind::no_input, "{}: {}", path.string(), error.message());

  std::vector<PluginCheck> checks;
  Manifest manifest;
  PluginCheck& of_manifest = checks.emplace_back(PluginCheck{"manifest", "", ""});
  std::vector<std::string> abi_arguments{"abi", library.string()};
  try {
    manifest = manifest_of(library);
    of_manifest.failed = broken_manifest(manifest);
    abi_arguments.push_back(nlohmann::json(manifest.families).dump());
    abi_arguments.push_back(nlohmann::json(manifest.architectures).dump());
  } catch (const Error& refused) {
    of_manifest.failed = refused.what();
  }
  if (is_wanted(options, "abi")) {
    checks.push_back({"abi", failure_of(abi_arguments, options.limit), ""});
  }
  if (!checks.front().failed.empty() || !checks.back().failed.empty()) return checks;

  for (const std::string& family : manifest.families) {
    check_family(manifest, family, options, checks);
  }
  check_checkpoint(manifest, options, checks);
  return checks;
}

}  // namespace gist
