// Options of a subcommand, from one table: the command line, the environment (GIST_NAME), a JSON
// file (--config), a named set of values (--recipe) and the defaults, in falling order of precedence.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

namespace gist {

enum class OptionKind : std::uint8_t { flag, text, integer, real, list };

struct OptionSpec {
  std::string name;  // "gist-tokens"
  OptionKind kind = OptionKind::text;
  std::string value_name;     // "K", for the help text
  std::string default_value;  // "" for none
  std::string help;
};

/// Values of options that have one name together: the text option `option` chooses a set of them.
/// They count as defaults: what is given anywhere goes before them.
struct OptionSets {
  struct Value {
    std::string option, value;
    std::string unless = {};  // not where this option is given
  };
  struct Set {
    std::string name;
    std::vector<Value> values;
  };
  std::string option;
  std::vector<Set> sets;
};

/// CommandSpec describes a subcommand, for parsing its options and for its help text.
struct CommandSpec {
  std::string name;
  std::string synopsis;  // what follows "gist NAME" in the usage line
  std::string summary;   // one line
  /// The name of positional arguments in messages; "" where there are none, or one that is short
  /// for an option.
  std::string positional;
  std::vector<OptionSpec> options;
  std::string positional_option = {};  // the option that a positional argument is short for
  std::string example = {};            // command lines for the help text, indented by two spaces
  OptionSets sets = {};
};

/// --quiet and --verbose, which every command has.
std::vector<OptionSpec> common_options();

/// The letter that is short for an option, in every command that has it; '\0' where there is none.
char short_name(std::string_view option);

class Options {
 public:
  /// Parses a subcommand's arguments. Throws Error(usage), or Error(no_input / data) for --config.
  Options(const CommandSpec& command, const std::vector<std::string>& arguments);

  bool knows(std::string_view name) const;  // the command has such an option
  bool has(std::string_view name) const;    // given somewhere, or with a default
  /// The options that the command line itself names, each once, in the order of the table.
  std::vector<std::string> on_command_line() const;
  bool flag(std::string_view name) const;
  /// Throw Error(usage) naming the option where it has no value, or one of another kind or out of
  /// range.
  std::string text(std::string_view name) const;
  std::int64_t integer(std::string_view name, std::int64_t least, std::int64_t most) const;
  double real(std::string_view name, double least, double most) const;
  std::vector<std::string> list(std::string_view name) const;
  const std::vector<std::string>& positional() const { return positional_; }
  /// The command line behind the subcommand's name, as it was given.
  const std::vector<std::string>& arguments() const { return arguments_; }

  /// The same with this value in place of what the option has; without one, with its default.
  Options with(std::string_view name, const std::optional<std::string>& value) const;

  /// Every option with its value, as --config reads it.
  nlohmann::ordered_json as_json() const;

 private:
  const OptionSpec& spec(std::string_view name) const;

  const CommandSpec* command_;
  std::map<std::string, std::vector<std::string>, std::less<>> values_;
  std::set<std::string, std::less<>> on_command_line_;
  std::vector<std::string> positional_;
  std::vector<std::string> arguments_;
};

}  // namespace gist
