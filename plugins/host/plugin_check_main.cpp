// gist-plugin-check, the child process of `gist plugins check`: runs one check of one library and
// writes "passed", or "failed" and the reason, to the report descriptor.
//
//     gist-plugin-check abi LIBRARY [FAMILIES ARCHITECTURES]          as JSON lists
//     gist-plugin-check configure|"gist invariant" LIBRARY FAMILY CONFIG      as JSON
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "formats/files/child_process.h"
#include "formats/files/json_text.h"
#include "kernels/error.h"
#include "plugins/host/gist_invariant.h"
#include "plugins/host/loader.h"
#include "plugins/host/plugin_family.h"

namespace gist {
namespace {

using nlohmann::json;

const LoadedPlugin::Family& family_named(const LoadedPlugin& plugin, const std::string& id) {
  for (const LoadedPlugin::Family& family : plugin.families) {
    if (family.id == id) return family;
  }
  fail(ErrorKind::unavailable, "it has no family '{}'", id);
}

void check_abi(const LoadedPlugin& plugin, const std::vector<std::string>& arguments) {
  if (arguments.size() < 4) return;
  check_against_manifest(plugin, parse_json(arguments[2], "the families"),
                         parse_json(arguments[3], "the architectures"));
}

std::unique_ptr<Family> configured(const LoadedPlugin& plugin, const std::string& id,
                                   const json& config) {
  const LoadedPlugin::Family& family = family_named(plugin, id);
  return configure_family(plugin, family, config, family.architectures[0],
                          "the check's configuration");
}

/// It takes the configuration, and says why it doesn't take one with nothing in it.
void check_configure(const LoadedPlugin& plugin, const std::string& id, const json& config) {
  configured(plugin, id, config);
  try {
    configured(plugin, id, json::object());
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::data) throw;
  }
}

std::string failure(const std::vector<std::string>& arguments) {
  try {
    const LoadedPlugin plugin = load_plugin(arguments[1]);
    if (arguments[0] == "abi") {
      check_abi(plugin, arguments);
      return "";
    }
    const json config = parse_json(arguments[3], "the configuration");
    if (arguments[0] == "configure") {
      check_configure(plugin, arguments[2], config);
      return "";
    }
    return broken_gist_invariant(configured(plugin, arguments[2], config));
  } catch (const std::exception& error) {
    return error.what();
  }
}

int run(const std::vector<std::string>& arguments) {
  const bool abi = !arguments.empty() && arguments[0] == "abi";
  if (arguments.size() != 4 && !(abi && arguments.size() == 2)) {
    std::fputs("gist-plugin-check is run by `gist plugins check`\n", stderr);
    return 64;
  }
  const std::string failed = failure(arguments);
  const std::string report = failed.empty() ? "passed" : "failed " + failed;
  const auto written = ::write(report_descriptor, report.data(), report.size());
  return written == static_cast<ssize_t>(report.size()) ? 0 : 74;
}

}  // namespace
}  // namespace gist

int main(int argc, char** argv) {
  // Nobody waits for the result once gist has ended: signals from a terminal don't reach this one.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  return gist::run({argv + 1, argv + argc});
}
