#include "cli/command_line.h"

#include <boost/program_options.hpp>

#include <algorithm>
#include <optional>
#include <string_view>

#include "cli/nearest.h"
#include "formats/files/text.h"
#include "kernels/error.h"

namespace gist {
namespace {

namespace po = boost::program_options;
using Arguments = std::vector<std::string>;

constexpr const char* positional_key = "positional";

po::options_description description_of(const CommandSpec& command) {
  po::options_description description;
  for (const OptionSpec& option : command.options) {
    const char letter = short_name(option.name);
    const std::string names =
        letter == '\0' ? option.name : fmt::format("{},{}", option.name, letter);
    if (option.kind == OptionKind::flag) {
      description.add_options()(names.c_str(), "");
    } else {
      description.add_options()(names.c_str(), po::value<Arguments>(), "");
    }
  }
  description.add_options()(positional_key, po::value<Arguments>(), "");
  return description;
}

const OptionSpec* find(const CommandSpec& command, std::string_view name) {
  for (const OptionSpec& option : command.options) {
    if (option.name == name) return &option;
  }
  return nullptr;
}

/// The name in an option as it was given: "gist_token" of "--gist_token=1".
std::string_view name_in(std::string_view word) {
  word.remove_prefix(std::min(word.find_first_not_of('-'), word.size()));
  return word.substr(0, word.find('='));
}

/// The option that a word with dashes before it may have meant.
std::optional<std::string> meant(const CommandSpec& command, std::string_view word) {
  const std::string_view name = name_in(word);
  if (name.size() < 2) return std::nullopt;
  // Commands read their records from --input or --data.
  if (!command.positional_option.empty() && (name == "input" || name == "data")) {
    return command.positional_option;
  }
  Arguments names;
  for (const OptionSpec& option : command.options) names.push_back(option.name);
  return nearest(name, names);
}

[[noreturn]] void fail_unknown(const CommandSpec& command, const std::string& word) {
  const std::optional<std::string> option = meant(command, word);
  fail(ErrorKind::usage, "gist {} has no option {}{} (gist {} --help lists them)", command.name,
       word.substr(0, word.find('=')), option ? fmt::format("; --{}?", *option) : "", command.name);
}

/// Boost's words name things by its own classes: what is wrong with the option is said anew.
[[noreturn]] void fail_without_value(const OptionSpec& option) {
  fail(ErrorKind::usage,
       "--{} needs a value, {}; one that is spelled as an option is written --{}=VALUE",
       option.name, option.value_name, option.name);
}

/// "--force" or "-q".
bool is_option(const CommandSpec& command, std::string_view word) {
  if (word.starts_with("--")) return find(command, word.substr(2)) != nullptr;
  return word.size() == 2 && word[0] == '-' &&
         std::any_of(
             command.options.begin(), command.options.end(),
             [word](const OptionSpec& option) { return short_name(option.name) == word[1]; });
}

[[noreturn]] void fail_syntax(const CommandSpec& command, const po::invalid_syntax& error) {
  const std::string name(name_in(error.get_option_name()));
  const OptionSpec* option = find(command, name);
  switch (error.kind()) {
    case po::invalid_syntax::missing_parameter:
    case po::invalid_syntax::empty_adjacent_parameter:
      if (option != nullptr) fail_without_value(*option);
      break;
    case po::invalid_syntax::extra_parameter:
      fail(ErrorKind::usage, "--{} is given or not, and takes no value", name);
    default:
      break;
  }
  fail(ErrorKind::usage, "--{} can't be understood (gist {} --help lists the options)", name,
       command.name);
}

void add(const CommandSpec& command, const po::option& given, CommandLine& line) {
  if (given.unregistered) fail_unknown(command, given.original_tokens.front());
  if (given.string_key == positional_key) {
    line.positional.insert(line.positional.end(), given.value.begin(), given.value.end());
    return;
  }
  const OptionSpec* option = find(command, given.string_key);
  Arguments& values = line.values[given.string_key];
  if (!values.empty() && option->kind != OptionKind::list) {
    fail(ErrorKind::usage, "--{} is given twice", option->name);
  }
  // The value has a token of its own: --output --force.
  const bool swallowed =
      given.original_tokens.size() == 2 && is_option(command, given.original_tokens[1]);
  if (swallowed) fail_without_value(*option);
  if (option->kind == OptionKind::flag) {
    values = {"true"};
  } else {
    values.insert(values.end(), given.value.begin(), given.value.end());
  }
}

/// Makes an argument that stands without an option's name the value of the option that it is short
/// for, if the command has such an option.
void place_positional(const CommandSpec& command, CommandLine& line) {
  if (line.positional.empty() || !command.positional.empty()) return;
  if (command.positional_option.empty()) {
    fail(ErrorKind::usage, "gist {} takes no argument besides options, found {}", command.name,
         in_quotes(line.positional.front()));
  }
  Arguments& values = line.values[command.positional_option];
  values.insert(values.end(), line.positional.begin(), line.positional.end());
  if (values.size() > 1) {
    fail(ErrorKind::usage,
         "gist {} takes one --{}, which may stand without its name; found {} and {}", command.name,
         command.positional_option, in_quotes(values[0]), in_quotes(values[1]));
  }
  line.positional.clear();
}

}  // namespace

bool asks_for_help(const Arguments& arguments) {
  const auto end = std::find(arguments.begin(), arguments.end(), "--");
  return std::any_of(arguments.begin(), end, [](const std::string& argument) {
    return argument == "--help" || argument == "-h";
  });
}

CommandLine parse_command_line(const CommandSpec& command, const Arguments& arguments) {
  namespace style = po::command_line_style;
  const po::options_description description = description_of(command);
  po::positional_options_description positional;
  positional.add(positional_key, -1);
  CommandLine line;
  try {
    const po::parsed_options parsed = po::command_line_parser(arguments)
                                          .options(description)
                                          .positional(positional)
                                          .style(style::unix_style & ~style::allow_guessing)
                                          .allow_unregistered()
                                          .run();
    for (const po::option& given : parsed.options) add(command, given, line);
  } catch (const po::invalid_syntax& error) {
    fail_syntax(command, error);
  } catch (const po::error&) {
    fail(ErrorKind::usage,
         "the command line can't be understood (gist {} --help lists the options)", command.name);
  }
  place_positional(command, line);
  return line;
}

}  // namespace gist
