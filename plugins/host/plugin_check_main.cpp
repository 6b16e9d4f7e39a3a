// gist-plugin-check, the child process of `gist plugins check`: runs one check of one library and
// writes to the report descriptor lines "trying ..." of what may end it, and last "passed", or
// "failed" and the reason.
//
//     gist-plugin-check abi LIBRARY [FAMILIES ARCHITECTURES]          as JSON lists
//     gist-plugin-check configure|"config keys"|... LIBRARY FAMILY CONFIG      as JSON
//     gist-plugin-check checkpoint LIBRARY DIRECTORY
//     gist-plugin-check golden LIBRARY DIRECTORY FILE
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <vector>

#include "formats/files/child_process.h"
#include "formats/files/json_text.h"
#include "formats/files/text.h"
#include "kernels/error.h"
#include "plugins/host/check/checkpoint_check.h"
#include "plugins/host/check/config_keys.h"
#include "plugins/host/check/exported_symbols.h"
#include "plugins/host/check/state.h"
#include "plugins/host/check/weights.h"
#include "plugins/host/gist_invariant.h"
#include "plugins/host/loader.h"

namespace gist {
namespace {

using nlohmann::json;

const LoadedPlugin::Family& family_named(const LoadedPlugin& plugin, const std::string& id) {
  for (const LoadedPlugin::Family& family : plugin.families) {
    if (family.id == id) return family;
  }
  fail(ErrorKind::unavailable, "it has no family '{}'", id);
}

void report(const std::string& text) {
  const auto written = ::write(report_descriptor, text.data(), text.size());
  if (written != static_cast<ssize_t>(text.size())) std::exit(74);
}

std::string broken_abi(const LoadedPlugin& plugin, const std::vector<std::string>& arguments) {
  const std::vector<std::string> exported = exported_symbols(plugin.library);
  if (exported.size() > 1) {
    return fmt::format(
        "{} exports {}, expected gist_plugin alone, as names that others have, too, can be taken for "
        "each other: link it with the SDK's gist_plugin.map",
        plugin.library.string(), first_few(exported));
  }
  if (arguments.size() == 4) {
    check_against_manifest(plugin, parse_json(arguments[2], "the families"),
                           parse_json(arguments[3], "the architectures"));
  }
  return "";
}

/// It takes the configuration, and says why it doesn't take one with nothing in it.
std::string broken_configure(const CheckSubject& subject) {
  subject.configured(subject.config);
  try {
    subject.configured(json::object());
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::data) throw;
  }
  return "";
}

std::string broken_family(const std::string& check, const CheckSubject& subject) {
  if (check == "configure") return broken_configure(subject);
  if (check == "config keys") return broken_config_keys(subject);
  if (check == "integer keys") {
    return broken_integer_keys(subject,
                               [](const std::string& what) { report("trying " + what + "\n"); });
  }
  if (check == "weights") return broken_weights(subject);
  if (check == "state") return broken_purity(subject);
  if (check == "windows") return broken_windows(subject);
  return broken_gist_invariant(subject.configured(subject.config));
}

std::string failure(const std::vector<std::string>& arguments) {
  try {
    const LoadedPlugin plugin = load_plugin(arguments[1]);
    const std::string& check = arguments[0];
    if (check == "abi") return broken_abi(plugin, arguments);
    if (check == "checkpoint") return broken_checkpoint(plugin, arguments[2]);
    if (check == "golden") return broken_golden(plugin, arguments[2], arguments[3]);
    return broken_family(check, {&plugin, &family_named(plugin, arguments[2]),
                                 parse_json(arguments[3], "the configuration")});
  } catch (const std::exception& error) {
    return error.what();
  }
}

int run(const std::vector<std::string>& arguments) {
  const std::size_t count = arguments.size();
  const bool fewer = count > 0 && ((arguments[0] == "abi" && count == 2) ||
                                   (arguments[0] == "checkpoint" && count == 3));
  if (count != 4 && !fewer) {
    std::fputs("gist-plugin-check is run by `gist plugins check`\n", stderr);
    return 64;
  }
  const std::string failed = failure(arguments);
  report(failed.empty() ? "passed" : "failed " + failed);
  return 0;
}

}  // namespace
}  // namespace gist

int main(int argc, char** argv) {
  // Nobody waits for the result once gist has ended: signals from a terminal don't reach this one.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  return gist::run({argv + 1, argv + argc});
}
