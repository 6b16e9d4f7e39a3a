// gist: compresses prompts into gist tokens.
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <exception>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/exit_code.h"
#include "cli/file_faults.h"
#include "cli/help.h"
#include "cli/line_writer.h"
#include "cli/log.h"
#include "cli/model_options.h"
#include "cli/nearest.h"
#include "cli/run_files.h"
#include "cli/standard_descriptors.h"
#include "cli/terminal.h"
#include "formats/files/json_text.h"
#include "formats/files/text.h"
#include "plugins/host/running_callback.h"

/// Plugins find these before the C library's, which would end a run in silence, and with success
/// where the plugin says so.
extern "C" [[noreturn]] void exit_at_once(int status) __asm__("_exit");
extern "C" [[noreturn]] void standard_exit_at_once(int status) __asm__("_Exit");

extern "C" void exit_at_once(int status) {
  gist::report_exit_at_once();
  for (;;) ::syscall(SYS_exit_group, status);
}

extern "C" void standard_exit_at_once(int status) {
  exit_at_once(status);
}

namespace {

using gist::Command;

/// Every command, with the options that all have.
std::vector<Command> all_commands() {
  std::vector<Command> commands{gist::train_command(),    gist::compress_command(),
                                gist::generate_command(), gist::evaluate_command(),
                                gist::inspect_command(),  gist::merge_command(),
                                gist::plugins_command()};
  for (Command& command : commands) {
    command.spec.options = gist::joined({std::move(command.spec.options), gist::common_options()});
  }
  return commands;
}

void set_verbosity(const gist::Options& options) {
  const bool quiet = options.flag("quiet");
  if (quiet && options.flag("verbose")) {
    gist::fail(gist::ErrorKind::usage, "--quiet and --verbose exclude each other");
  }
  // Debug: what a person who looks on wants to know, and a script doesn't.
  const bool shown = options.flag("verbose") || gist::is_terminal(STDERR_FILENO);
  spdlog::set_level(quiet   ? spdlog::level::warn
                    : shown ? spdlog::level::debug
                            : spdlog::level::info);
}

void print(const std::string& text) {
  gist::LineWriter out = gist::standard_output();
  out.text(text);
  out.flush();
}

const Command& command_named(const std::vector<Command>& commands, const std::string& name) {
  const auto command =
      std::find_if(commands.begin(), commands.end(),
                   [&name](const Command& candidate) { return candidate.spec.name == name; });
  if (command != commands.end()) return *command;
  std::vector<std::string> names;
  names.reserve(commands.size());
  for (const Command& each : commands) names.push_back(each.spec.name);
  const std::optional<std::string> meant = gist::nearest(name, names);
  gist::fail(gist::ErrorKind::usage, "there is no command {}{} (gist --help lists them)",
             gist::in_quotes(name), meant ? fmt::format("; {}?", *meant) : "");
}

/// gist help [COMMAND].
int help(const std::vector<Command>& commands, const std::vector<std::string>& words) {
  const std::size_t width = gist::line_width(STDOUT_FILENO);
  if (words.size() > 1) {
    gist::fail(gist::ErrorKind::usage, "gist help takes one command, found {}", words.size());
  }
  print(words.empty() ? gist::overview(commands, width)
                      : gist::help_text(command_named(commands, words[0]).spec, width));
  return gist::exit_ok;
}

int run(const std::vector<Command>& commands, const std::vector<std::string>& arguments) {
  if (arguments.empty()) {
    help(commands, {});
    return gist::exit_usage;
  }
  const std::string& first = arguments[0];
  const std::vector<std::string> rest(arguments.begin() + 1, arguments.end());
  if (first == "--help" || first == "-h") return help(commands, {});
  if (first == "help") return help(commands, rest);
  if (first == "--version" || first == "-V") {
    print("gist " GIST_VERSION "\n");
    return gist::exit_ok;
  }
  if (first.starts_with('-')) {
    gist::fail(gist::ErrorKind::usage, "a command comes first, found {} (gist --help lists them)",
               gist::in_quotes(first));
  }
  const Command& command = command_named(commands, first);
  if (gist::asks_for_help(rest)) return help(commands, {first});
  const gist::Options options(command.spec, rest);
  if (options.has("print-config") && options.flag("print-config")) {
    if (!std::all_of(rest.begin(), rest.end(), gist::valid_utf8)) {
      spdlog::warn("JSON can't spell a name that is no UTF-8: \uFFFD stands for its bytes");
    }
    print(gist::text_of_json(options.as_json(), 2) + "\n");
    return gist::exit_ok;
  }
  set_verbosity(options);
  gist::check_files(command.spec, options);
  return command.run(options);
}

}  // namespace

int main(int argc, char** argv) {
  gist::fill_standard_descriptors();
  gist::take_file_faults();
  gist::report_deaths_in_callbacks(gist::exit_unavailable);
  std::signal(SIGPIPE, SIG_IGN);  // a closed output is an error code of write, handled there
  gist::log_to_standard_error();
  try {
    return run(all_commands(), {argv + 1, argv + argc});
  } catch (const gist::Error& error) {
    spdlog::error("{}", error.what());
    return gist::exit_code(error.kind());
  } catch (const std::bad_alloc&) {
    spdlog::error("out of memory");
    return gist::exit_unavailable;
  } catch (const std::exception& error) {
    spdlog::error("internal error: {}", error.what());
    return gist::exit_internal;
  }
}
