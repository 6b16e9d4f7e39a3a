#include "cli/help.h"

#include <fmt/format.h>

#include <algorithm>

namespace gist {
namespace {

constexpr std::size_t option_column = 30;  // where the texts of options begin
constexpr std::size_t command_column = 12;

/// `head`, and the text behind it from `column` on, in as many lines as it takes. A head that is
/// too long has a line of its own.
std::string entry(std::string head, std::size_t column, std::string_view text, std::size_t width) {
  const std::string indent(column, ' ');
  const std::size_t room = std::max<std::size_t>(width - std::min(width, column), 10);
  if (head.size() >= column && column > 0) {
    head += "\n" + indent;
  } else {
    head.resize(column, ' ');
  }
  std::string lines = std::move(head);
  while (text.size() > room) {
    std::size_t cut = text.rfind(' ', room);
    if (cut == std::string_view::npos || cut == 0) cut = room;
    lines += text.substr(0, cut);
    lines += "\n" + indent;
    text.remove_prefix(text[cut] == ' ' ? cut + 1 : cut);
  }
  return lines.append(text) + "\n";
}

std::string paragraph(std::string_view text, std::size_t width) {
  return entry("", 0, text, width);
}

/// "  -o, --output STORE"; where there is no short name, its place is left free.
std::string head_of(const OptionSpec& option) {
  const char letter = short_name(option.name);
  std::string head = letter == '\0' ? "      --" : fmt::format("  -{}, --", letter);
  head += option.name;
  return option.kind == OptionKind::flag ? head : head + " " + option.value_name;
}

std::string usage(const CommandSpec& command, std::size_t width) {
  const std::string head = "usage: gist " + command.name;
  return entry(head, head.size() + 1, command.synopsis, width);
}

bool has_config(const CommandSpec& command) {
  return std::any_of(command.options.begin(), command.options.end(),
                     [](const OptionSpec& option) { return option.name == "config"; });
}

std::string environment(const CommandSpec& command, std::size_t width) {
  const std::string_view sources =
      has_config(command)
          ? "Options may also come from the environment, GIST_BATCH_TOKENS=1024 for --batch-tokens "
            "1024, GIST_KEEP_GOING=true for --keep-going, and from the JSON file that --config or "
            "GIST_CONFIG names. The command line goes before the environment, the environment "
            "before the file."
          : "Options may also come from the environment: GIST_QUIET=true for --quiet. The command "
            "line goes before it.";
  std::string text = paragraph(sources, width);
  text += paragraph(
      "GIST_PLUGIN_PATH: directories with plugins, a list separated by ':', looked at after those "
      "of --plugin-path.",
      width);
  return text;
}

}  // namespace

std::string help_text(const CommandSpec& command, std::size_t width) {
  std::string text = usage(command, width) + "\n" + paragraph(command.summary, width) + "\n";
  for (const OptionSpec& option : command.options) {
    std::string help = option.help;
    if (!option.default_value.empty()) help += fmt::format(" [{}]", option.default_value);
    text += entry(head_of(option), option_column, help, width);
  }
  text += entry("  -h, --help", option_column, "print this, and end", width);
  if (!command.example.empty()) text += "\nexample:\n" + command.example;
  return text + "\n" + environment(command, width);
}

std::string overview(const std::vector<Command>& commands, std::size_t width) {
  std::string text = "usage: gist COMMAND [OPTION ...] [ARGUMENT ...]\n\n";
  for (const Command& command : commands) {
    text += entry("  " + command.spec.name, command_column, command.spec.summary, width);
  }
  return text + "\n" +
         paragraph(
             "gist help COMMAND, or gist COMMAND --help, lists a command's options, with an "
             "example. gist --version prints the version.",
             width);
}

}  // namespace gist
