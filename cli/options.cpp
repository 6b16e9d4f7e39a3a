#include "cli/options.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>

#include "cli/command_line.h"
#include "formats/files/file_io.h"
#include "formats/files/json_text.h"
#include "formats/files/text.h"
#include "kernels/error.h"

namespace gist {
namespace {

using Values = std::map<std::string, std::vector<std::string>, std::less<>>;

std::string environment_name(const std::string& option) {
  std::string name = "GIST_" + option;
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) {
    return c == '-' ? '_' : static_cast<char>(std::toupper(c));
  });
  return name;
}

/// GIST_PLUGIN_PATH is a place of its own in the search order, not another spelling of
/// --plugin-path.
Values from_environment(const CommandSpec& command) {
  Values values;
  for (const OptionSpec& option : command.options) {
    if (option.name == "plugin-path") continue;
    const char* value = std::getenv(environment_name(option.name).c_str());
    if (value != nullptr && *value != '\0') values[option.name] = {value};
  }
  return values;
}

std::string spelled(const nlohmann::json& value) {
  return value.is_string() ? value.get<std::string>() : text_of_json(value);
}

Values from_config(const CommandSpec& command, const std::string& path) {
  const nlohmann::json config = parse_json(read_file(path), path);
  if (!config.is_object()) fail(ErrorKind::data, "{}: expected a JSON object of options", path);
  Values values;
  for (const auto& [name, value] : config.items()) {
    const auto known = std::find_if(command.options.begin(), command.options.end(),
                                    [&name = name](const OptionSpec& o) { return o.name == name; });
    if (known == command.options.end()) {
      fail(ErrorKind::data, "{}: gist {} has no option {}", path, command.name, in_quotes(name));
    }
    if (value.is_null()) continue;
    if (value.is_array() && known->kind == OptionKind::list) {
      for (const nlohmann::json& element : value) values[name].push_back(spelled(element));
    } else if (value.is_structured()) {
      fail(ErrorKind::data, "{}: option {} can't be {}", path, in_quotes(name),
           text_of_json(value));
    } else {
      values[name] = {spelled(value)};
    }
  }
  return values;
}

/// The values of the chosen set, but for those that `given` excludes.
Values from_set(const OptionSets& sets, const std::string& name, const Values& given) {
  std::vector<std::string_view> names;
  for (const OptionSets::Set& set : sets.sets) {
    names.push_back(set.name);
    if (set.name != name) continue;
    Values values;
    for (const OptionSets::Value& each : set.values) {
      if (!given.contains(each.unless)) values[each.option] = {each.value};
    }
    return values;
  }
  fail(ErrorKind::usage, "--{}: expected {}, found {}", sets.option, fmt::join(names, " or "),
       in_quotes(name));
}

template <typename Number>
std::optional<Number> parsed(const std::string& text) {
  Number value{};
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stop != end || text.empty()) return std::nullopt;
  return value;
}

}  // namespace

std::vector<OptionSpec> common_options() {
  return {{"quiet", OptionKind::flag, "", "", "say nothing but warnings and errors"},
          {"verbose", OptionKind::flag, "", "",
           "say what is done and what came of it, as on a terminal, where standard error is none"}};
}

char short_name(std::string_view option) {
  if (option == "model") return 'm';
  if (option == "input" || option == "data") return 'i';  // what records are read from
  if (option == "output") return 'o';
  if (option == "quiet") return 'q';
  if (option == "verbose") return 'v';
  return '\0';
}

Options::Options(const CommandSpec& command, const std::vector<std::string>& arguments)
    : command_(&command), arguments_(arguments) {
  CommandLine line = parse_command_line(command, arguments);
  values_ = std::move(line.values);
  positional_ = std::move(line.positional);
  for (const auto& [name, value] : values_) on_command_line_.insert(name);
  values_.merge(from_environment(command));
  if (has("config")) values_.merge(from_config(command, text("config")));
  const OptionSets& sets = command.sets;
  if (!sets.sets.empty() && has(sets.option)) {
    values_.merge(from_set(sets, text(sets.option), values_));
  }
}

const OptionSpec& Options::spec(std::string_view name) const {
  for (const OptionSpec& option : command_->options) {
    if (option.name == name) return option;
  }
  fail(ErrorKind::internal, "gist {} has no option --{}", command_->name, name);
}

bool Options::knows(std::string_view name) const {
  return std::any_of(command_->options.begin(), command_->options.end(),
                     [name](const OptionSpec& option) { return option.name == name; });
}

bool Options::has(std::string_view name) const {
  if (values_.contains(name)) return true;
  for (const OptionSpec& option : command_->options) {
    if (option.name == name) return !option.default_value.empty();
  }
  return false;
}

std::vector<std::string> Options::on_command_line() const {
  std::vector<std::string> names;
  for (const OptionSpec& option : command_->options) {
    if (on_command_line_.contains(option.name)) names.push_back(option.name);
  }
  return names;
}

bool Options::flag(std::string_view name) const {
  const auto at = values_.find(name);
  if (at == values_.end()) return false;
  const std::string& value = at->second.front();
  if (value == "true" || value == "1") return true;
  if (value == "false" || value == "0") return false;
  fail(ErrorKind::usage, "--{}: expected true or false, found {}", name, in_quotes(value));
}

std::string Options::text(std::string_view name) const {
  const auto at = values_.find(name);
  const OptionSpec& option = spec(name);
  std::string value = at == values_.end() ? option.default_value : at->second.front();
  if (value.empty()) {
    fail(ErrorKind::usage, "gist {} needs --{} {}", command_->name, name, option.value_name);
  }
  return value;
}

std::int64_t Options::integer(std::string_view name, std::int64_t least, std::int64_t most) const {
  const std::string value = text(name);
  const std::optional<std::int64_t> number = parsed<std::int64_t>(value);
  if (!number || *number < least || *number > most) {
    fail(ErrorKind::usage, "--{}: expected a whole number from {} to {}, found {}", name, least,
         most, in_quotes(value));
  }
  return *number;
}

double Options::real(std::string_view name, double least, double most) const {
  const std::string value = text(name);
  const std::optional<double> number = parsed<double>(value);
  if (!number || !(*number >= least && *number <= most)) {
    fail(ErrorKind::usage, "--{}: expected a number from {} to {}, found {}", name, least, most,
         in_quotes(value));
  }
  return *number;
}

std::vector<std::string> Options::list(std::string_view name) const {
  const auto at = values_.find(name);
  return at == values_.end() ? std::vector<std::string>{} : at->second;
}

Options Options::with(std::string_view name, const std::optional<std::string>& value) const {
  Options result = *this;
  result.values_.erase(spec(name).name);
  if (value) result.values_[spec(name).name] = {*value};
  return result;
}

nlohmann::ordered_json Options::as_json() const {
  nlohmann::ordered_json result = nlohmann::ordered_json::object();
  for (const OptionSpec& option : command_->options) {
    if (option.name == "config" || option.name == "print-config") continue;
    if (option.kind == OptionKind::flag) {
      result[option.name] = flag(option.name);
    } else if (option.kind == OptionKind::list) {
      result[option.name] = list(option.name);
    } else if (!has(option.name)) {
      result[option.name] = nullptr;
    } else if (option.kind == OptionKind::text) {
      result[option.name] = text(option.name);
    } else {
      const std::string value = text(option.name);
      result[option.name] = parse_json(value, "--" + option.name);
    }
  }
  return result;
}

}  // namespace gist
