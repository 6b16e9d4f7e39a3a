// gist plugins: which model families there are, where they are looked for, and whether a plugin
// keeps its promises.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <string>
#include <utility>
#include <vector>

#include <spdlog/spdlog.h>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/exit_code.h"
#include "cli/line_writer.h"
#include "cli/model_options.h"
#include "formats/files/json_text.h"
#include "formats/files/text.h"
#include "formats/model/named_templates.h"
#include "kernels/devices.h"
#include "kernels/error.h"
#include "plugins/host/plugin_host.h"

namespace gist {
namespace {

using nlohmann::ordered_json;

ordered_json text_or_null(const std::string& text) {
  return text.empty() ? ordered_json(nullptr) : ordered_json(text);
}

ordered_json as_json(const PluginEntry& entry) {
  return {{"name", entry.name},
          {"version", text_or_null(entry.version)},
          {"families", entry.families},
          {"architectures", entry.architectures},
          {"path", text_or_null(entry.library.string())},
          {"refused", text_or_null(entry.refused)}};
}

std::string in_words(const PluginEntry& entry) {
  const std::string path = (entry.library.empty() ? entry.manifest : entry.library).string();
  if (!entry.refused.empty())
    return printable(fmt::format("{}  {}  refused: {}", entry.name, path, entry.refused));
  return printable(fmt::format("{} {}  families {}  architectures {}  {}", entry.name,
                               entry.version, fmt::join(entry.families, ","),
                               fmt::join(entry.architectures, ","), path));
}

ordered_json as_json(const PluginCheck& check, const std::string& library) {
  return {{"library", library},
          {"check", check.name},
          {"family", text_or_null(check.family)},
          {"failed", text_or_null(check.failed)}};
}

/// `library` is named where several are checked.
std::string in_words(const PluginCheck& check, const std::string& library) {
  const std::string name = fmt::format("{}{}{}", library.empty() ? "" : library + ": ", check.name,
                                       check.family.empty() ? "" : " of " + check.family);
  return printable(check.failed.empty() ? "ok " + name
                                        : fmt::format("FAILED {}: {}", name, check.failed));
}

int list(const Options& options, LineWriter& out) {
  const auto plugins = find_plugins(plugin_directories(plugin_search(options)));
  for (const PluginEntry& entry : plugins) {
    out.line(options.flag("json") ? text_of_json(as_json(entry)) : in_words(entry));
  }
  if (plugins.empty()) spdlog::warn("no plugins; gist plugins where says what was searched");
  return exit_ok;
}

int where(const Options& options, LineWriter& out) {
  const auto directories = plugin_directories(plugin_search(options));
  const DeviceList found = find_devices();
  if (options.flag("json")) {
    ordered_json object{{"directories", ordered_json::array()}, {"devices", ordered_json::array()}};
    for (const Device& device : found.devices) {
      ordered_json entry{{"name", device.name}};
      if (!device.model.empty()) {
        entry["model"] = device.model;
        entry["memory_bytes"] = device.memory_bytes;
        entry["unusable"] = text_or_null(device.unusable);
      }
      object["devices"].push_back(std::move(entry));
    }
    object["no_cuda"] = text_or_null(found.no_cuda);
    for (const PluginDirectory& directory : directories) {
      object["directories"].push_back({{"path", directory.path.string()},
                                       {"origin", directory.origin},
                                       {"ignored", text_or_null(directory.ignored)}});
    }
    out.line(text_of_json(object));
    return exit_ok;
  }
  for (const PluginDirectory& directory : directories) {
    out.line(
        printable(fmt::format("{}  ({}){}", directory.path.string(), directory.origin,
                              directory.ignored.empty() ? "" : "  ignored: " + directory.ignored)));
  }
  for (const Device& device : found.devices) {
    std::string line = "device " + device.name;
    if (!device.model.empty()) {
      line += fmt::format("  {}, {:.1f} GiB", device.model,
                          static_cast<double>(device.memory_bytes) / (1 << 30));
    }
    if (!device.unusable.empty()) line += "  unusable: " + device.unusable;
    out.line(line);
  }
  if (!found.no_cuda.empty()) out.line("no CUDA device: " + found.no_cuda);
  return exit_ok;
}

int check(const Options& options, LineWriter& out) {
  const std::vector<std::string> libraries(options.positional().begin() + 1,
                                           options.positional().end());
  if (libraries.empty()) fail(ErrorKind::usage, "gist plugins check needs a LIBRARY");
  if (options.has("plugin-path")) {
    fail(ErrorKind::usage, "--plugin-path: gist plugins check takes the paths of libraries");
  }
  PluginCheckOptions asked;
  if (options.has("checkpoint")) asked.checkpoint = options.text("checkpoint");
  if (options.has("golden")) asked.golden = options.text("golden");
  if (!asked.golden.empty() && asked.checkpoint.empty()) {
    fail(ErrorKind::usage, "--golden needs --checkpoint DIR, the directory that it was made of");
  }
  if (!asked.checkpoint.empty() && libraries.size() > 1) {
    fail(ErrorKind::usage, "--checkpoint: expected one LIBRARY, which serves it, found {}",
         libraries.size());
  }
  int code = exit_ok;
  for (const std::string& library : libraries) {
    for (const PluginCheck& result : check_plugin(library, asked)) {
      if (!result.failed.empty()) code = exit_data;
      out.line(options.flag("json") ? text_of_json(as_json(result, library))
                                    : in_words(result, libraries.size() > 1 ? library : ""));
      out.flush();
    }
  }
  return code;
}

/// Each layout with what a record of it becomes.
int templates(const Options& options, LineWriter& out) {
  const FieldLookup example = [](std::string_view field) {
    return std::string(field == "instruction" ? "Answer in one word." : "What do bees make?");
  };
  for (const NamedTemplate& entry : named_templates()) {
    const PromptTemplate layout = *template_named(entry.name, true);
    if (options.flag("json")) {
      out.line(text_of_json(ordered_json{{"name", entry.name},
                                         {"about", entry.about},
                                         {"template", layout.json()},
                                         {"example", layout.shown(example)}}));
    } else {
      out.line(fmt::format("{}  {}", entry.name, entry.about));
      out.line("  " + text_of_json(nlohmann::json(layout.shown(example))));
    }
  }
  return exit_ok;
}

int run_plugins(const Options& options) {
  const std::vector<std::string>& words = options.positional();
  const std::string verb = words.empty() ? "" : words[0];
  if (verb != "list" && verb != "where" && verb != "templates" && verb != "check") {
    fail(ErrorKind::usage, "gist plugins: expected list, where, templates or check{}",
         verb.empty() ? "" : fmt::format(", found \"{}\"", verb));
  }
  LineWriter out = standard_output();
  int code = exit_ok;
  if (verb == "check") {
    code = check(options, out);
  } else if (words.size() > 1) {
    fail(ErrorKind::usage, "gist plugins {} takes no further argument, found \"{}\"", verb,
         words[1]);
  } else if (verb == "templates") {
    code = templates(options, out);
  } else {
    code = verb == "list" ? list(options, out) : where(options, out);
  }
  out.flush();
  return code;
}

}  // namespace

Command plugins_command() {
  return {{"plugins",
           "list | where | templates | check LIBRARY ... [OPTION ...]",
           "list and check plugins (model families), say what is searched; list layouts of prompts",
           "ARGUMENT",
           {{"plugin-path", OptionKind::list, "DIR", "",
             "list, where: a directory to search first, or a list separated by ':'; repeatable"},
            {"checkpoint", OptionKind::text, "DIR", "",
             "check: a model's directory, which the library serves, to run it on"},
            {"golden", OptionKind::text, "FILE", "",
             "check: what transformers computes with that model, by share/gist/family_golden.py"},
            {"json", OptionKind::flag, "", "",
             "JSON: an object a plugin, a template or a check, one of all directories"}},
           "",
           "  gist plugins list\n  gist plugins check ./my_family.so\n"
           "  gist plugins check ./my_family.so --checkpoint DIR --golden golden.safetensors\n"},
          run_plugins};
}

}  // namespace gist
