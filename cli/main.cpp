// gist: compresses prompts into gist tokens.
#include <fmt/format.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <csignal>
#include <exception>
#include <string>
#include <vector>

#include "cli/commands.h"
#include "cli/exit_code.h"
#include "cli/line_writer.h"

namespace {

using gist::Command;

std::string overview(const std::vector<Command>& commands) {
  std::string text = "usage: gist COMMAND [OPTION ...]\n\n";
  for (const Command& command : commands) {
    text += fmt::format("  {:10}{}\n", command.spec.name, command.spec.summary);
  }
  return text +
         "\ngist COMMAND --help lists a command's options.\ngist --version prints the version.\n";
}

void print(const std::string& text) {
  gist::LineWriter out = gist::standard_output();
  out.text(text);
  out.flush();
}

int run(const std::vector<Command>& commands, const std::vector<std::string>& arguments) {
  if (arguments.empty() || arguments[0] == "--help" || arguments[0] == "help") {
    print(overview(commands));
    return arguments.empty() ? gist::exit_usage : gist::exit_ok;
  }
  if (arguments[0] == "--version") {
    print("gist " GIST_VERSION "\n");
    return gist::exit_ok;
  }
  const auto command = std::find_if(
      commands.begin(), commands.end(),
      [&arguments](const Command& candidate) { return candidate.spec.name == arguments[0]; });
  if (command == commands.end()) {
    gist::fail(gist::ErrorKind::usage, "there is no command \"{}\" (gist --help lists them)",
               arguments[0]);
  }
  const std::vector<std::string> rest(arguments.begin() + 1, arguments.end());
  if (std::find(rest.begin(), rest.end(), "--help") != rest.end()) {
    print(gist::help_text(command->spec));
    return gist::exit_ok;
  }
  const gist::Options options(command->spec, rest);
  if (options.has("print-config") && options.flag("print-config")) {
    print(options.as_json().dump(2) + "\n");
    return gist::exit_ok;
  }
  return command->run(options);
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);  // a closed output is an error code of write, handled there
  const auto logger = spdlog::stderr_logger_mt("gist");
  logger->set_pattern("gist: %v");
  spdlog::set_default_logger(logger);
  try {
    const std::vector<Command> commands{gist::train_command(),    gist::compress_command(),
                                        gist::generate_command(), gist::evaluate_command(),
                                        gist::inspect_command(),  gist::merge_command(),
                                        gist::plugins_command()};
    return run(commands, {argv + 1, argv + argc});
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
