// `gist plugins check`, the parent's side; check_main.cpp is the child's.
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

/// Runs one check in a child process. Its report is "passed", or "failed" and the reason.
std::string failure_of(const std::vector<std::string>& arguments, std::chrono::milliseconds limit) {
  const ChildReport report = run_child(check_program(), arguments, limit);
  constexpr std::string_view failed = "failed ";
  if (report.text.starts_with(failed)) return report.text.substr(failed.size());
  if (!report.ended.empty()) return "the process that loaded the library " + report.ended;
  if (report.text != "passed") return "the library ended the process that loaded it";
  return "";
}

}  // namespace

std::vector<PluginCheck> check_plugin(const fs::path& path, std::chrono::milliseconds limit) {
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
  checks.push_back({"abi", failure_of(abi_arguments, limit), ""});
  if (!checks[0].failed.empty() || !checks[1].failed.empty()) return checks;

  for (const std::string& family : manifest.families) {
    const std::string config = manifest.check[family].dump();
    for (const char* name : {"configure", "gist invariant"}) {
      checks.push_back({name, failure_of({name, library.string(), family, config}, limit), family});
      if (!checks.back().failed.empty()) break;
    }
  }
  return checks;
}

}  // namespace gist
