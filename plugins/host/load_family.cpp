// This file goes from a configuration to the one family that serves it.
#include <algorithm>
#include <cctype>
#include <exception>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "formats/files/text.h"
#include "kernels/error.h"
#include "plugins/host/loader.h"
#include "plugins/host/plugin_family.h"
#include "plugins/host/plugin_host.h"

namespace gist {
namespace {

bool contains(const std::vector<std::string>& list, const std::string& wanted) {
  return std::find(list.begin(), list.end(), wanted) != list.end();
}

std::string joined(const std::vector<std::string>& list, const char* between = ", ") {
  return fmt::format("{}", fmt::join(list, between));
}

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

/// The architectures that plugins serve, once each.
std::vector<std::string> served_by(const std::vector<PluginEntry>& entries) {
  std::set<std::string> served;
  for (const PluginEntry& entry : entries) {
    if (!entry.refused.empty()) continue;
    served.insert(entry.architectures.begin(), entry.architectures.end());
  }
  return {served.begin(), served.end()};
}

/// A configuration that names no class is of the one that is named after its "model_type", as in
/// transformers: "llama" and LlamaForCausalLM.
std::vector<std::string> architectures_by_type(const nlohmann::json& config,
                                               const std::string& where,
                                               const std::vector<PluginEntry>& entries) {
  const nlohmann::json type =
      config.is_object() ? config.value("model_type", nlohmann::json()) : nlohmann::json();
  if (!type.is_string()) {
    fail(ErrorKind::data,
         "{}: has no \"architectures\", a list that names the model's class, and no \"model_type\"",
         where);
  }
  std::string prefix = lower(type.get<std::string>()) + "for";
  std::erase_if(prefix, [](char c) { return c == '_' || c == '-'; });
  const std::vector<std::string> served = served_by(entries);
  for (const std::string& architecture : served) {
    if (lower(architecture).starts_with(prefix)) return {architecture};
  }
  fail(ErrorKind::unavailable, "{}: no plugin serves \"model_type\" {}: this gist can use {}",
       where, type.dump(), served.empty() ? "none" : joined(served));
}

std::vector<std::string> architectures_of(const nlohmann::json& config, const std::string& where,
                                          const std::vector<PluginEntry>& entries) {
  const auto found = config.is_object() ? config.find("architectures") : config.end();
  if (!config.is_object() || found == config.end() || found->is_null()) {
    return architectures_by_type(config, where, entries);
  }
  const auto is_text = [](const nlohmann::json& item) { return item.is_string(); };
  if (!found->is_array() || found->empty() || !std::all_of(found->begin(), found->end(), is_text)) {
    fail(ErrorKind::data, "{}: \"architectures\": expected a list of strings, found {}", where,
         found->dump());
  }
  return found->get<std::vector<std::string>>();
}

/// Says what was searched, and what was refused there and why.
std::string searched(const std::vector<PluginDirectory>& directories,
                     const std::vector<PluginEntry>& entries) {
  std::vector<std::string> places;
  places.reserve(directories.size());
  for (const PluginDirectory& directory : directories) {
    places.push_back(directory.ignored.empty()
                         ? fmt::format("{} ({})", directory.path.string(), directory.origin)
                         : fmt::format("{} ({}; not searched: {})", directory.path.string(),
                                       directory.origin, directory.ignored));
  }
  std::string text = "searched " + (places.empty() ? "nothing" : joined(places));
  std::vector<std::string> refused;
  for (const PluginEntry& entry : entries) {
    if (entry.refused.empty()) continue;
    const std::filesystem::path& path = entry.library.empty() ? entry.manifest : entry.library;
    refused.push_back(fmt::format("{}: {}", path.string(), entry.refused));
  }
  if (!refused.empty()) text += "; refused " + joined(refused, "; ");
  return text;
}

/// A plugin that may serve a configuration, and the architecture that it would serve.
struct Candidate {
  const PluginEntry* entry = nullptr;
  std::string architecture;
};

std::filesystem::path directory_of(const PluginEntry& entry) {
  return entry.manifest.parent_path();
}

/// Throws where two plugins of one directory serve an architecture: none comes first.
void check_unambiguous(const PluginEntry& a, const PluginEntry& b, const std::string& architecture,
                       const std::string& where) {
  if (directory_of(a) != directory_of(b)) return;
  fail(ErrorKind::unavailable,
       "{}: architecture {} is served by both {} ({}) and {} ({}): choose one (--family)", where,
       architecture, joined(a.families), a.library.string(), joined(b.families),
       b.library.string());
}

/// The plugins to try, one after the other: those of the named family, or else all, by the order of
/// the architectures and of the search. Of a directory one for each architecture.
std::vector<Candidate> candidates_of(const std::vector<PluginEntry>& entries,
                                     const std::vector<std::string>& architectures,
                                     const std::string& family, const std::string& where) {
  std::vector<Candidate> candidates;
  for (const std::string& architecture : architectures) {
    for (const PluginEntry& entry : entries) {
      if (!entry.refused.empty() || !contains(entry.architectures, architecture) ||
          (!family.empty() && !contains(entry.families, family))) {
        continue;
      }
      for (const Candidate& earlier : candidates) {
        if (earlier.architecture == architecture) {
          check_unambiguous(*earlier.entry, entry, architecture, where);
        }
      }
      candidates.push_back({&entry, architecture});
    }
  }
  return candidates;
}

/// Says which plugins would have come before the chosen one, but can't be used, and why; and which
/// ones further on in the search would have served the architecture.
std::vector<std::string> passed_over(const std::vector<PluginEntry>& entries,
                                     const std::vector<std::string>& architectures,
                                     const std::string& family, const Candidate& chosen) {
  std::vector<std::string> warnings;
  std::set<const PluginEntry*> told;
  for (const std::string& architecture : architectures) {
    const bool last = architecture == chosen.architecture;
    for (const PluginEntry& entry : entries) {
      if (last && &entry == chosen.entry) break;
      if (entry.refused.empty() || entry.shadowed || !contains(entry.architectures, architecture) ||
          (!family.empty() && !contains(entry.families, family)) || !told.insert(&entry).second) {
        continue;
      }
      warnings.push_back(fmt::format("{} serves {}, as {} can't be used: {}",
                                     chosen.entry->library.string(), chosen.architecture,
                                     entry.library.string(), printable(entry.refused)));
    }
    if (last) break;
  }
  std::vector<std::string> others;
  for (const PluginEntry& entry : entries) {
    if (&entry > chosen.entry && (entry.refused.empty() || entry.shadowed) &&
        contains(entry.architectures, chosen.architecture)) {
      others.push_back(entry.library.string());
    }
  }
  if (!others.empty()) {
    warnings.push_back(fmt::format("{} serves {}, as it comes before {} in the search for plugins",
                                   chosen.entry->library.string(), chosen.architecture,
                                   joined(others)));
  }
  return warnings;
}

const LoadedPlugin::Family& family_for(const LoadedPlugin& plugin, const std::string& architecture,
                                       const std::string& family, const std::string& where) {
  std::vector<const LoadedPlugin::Family*> serving;
  for (const LoadedPlugin::Family& candidate : plugin.families) {
    if (contains(candidate.architectures, architecture) &&
        (family.empty() || candidate.id == family)) {
      serving.push_back(&candidate);
    }
  }
  if (serving.size() == 1) return *serving[0];
  if (serving.empty()) {
    fail(ErrorKind::unavailable, "{}: family '{}' of {} doesn't serve architecture {}", where,
         family, plugin.library.string(), architecture);
  }
  fail(ErrorKind::unavailable,
       "{}: architecture {} is served by both {} and {} of {}: choose one (--family)", where,
       architecture, serving[0]->id, serving[1]->id, plugin.library.string());
}

/// Libraries that can't be loaded, or aren't what their manifests say.
struct Unloadable {
  std::map<std::filesystem::path, std::string> reasons;
  std::exception_ptr first;  // the error of the first one
};

/// Loads a plugin's library. Nothing where that fails and the caller didn't ask for this plugin:
/// `unloadable` has it then.
std::optional<LoadedPlugin> loaded(const PluginEntry& entry, const std::string& family,
                                   Unloadable& unloadable) {
  try {
    LoadedPlugin plugin = load_plugin(entry.library);
    check_against_manifest(plugin, entry.families, entry.architectures);
    return plugin;
  } catch (const Error& error) {
    if (!family.empty() || entry.origin == first_origin) throw;
    if (!unloadable.first) unloadable.first = std::current_exception();
    const std::string message = error.what(), prefix = entry.library.string() + ": ";
    unloadable.reasons[entry.library] =
        message.starts_with(prefix) ? message.substr(prefix.size()) : message;
    return std::nullopt;
  }
}

}  // namespace

std::unique_ptr<Family> load_family(const std::vector<PluginDirectory>& directories,
                                    const nlohmann::json& config, const std::string& where,
                                    const std::string& family) {
  std::vector<PluginEntry> entries = find_plugins(directories);
  const std::vector<std::string> architectures = architectures_of(config, where, entries);
  Unloadable unloadable;
  std::string declined;
  // Without a library that can't be loaded, others come first, and those that it shadowed count.
  for (bool again = true; std::exchange(again, false);) {
    declined.clear();
    for (const Candidate& candidate : candidates_of(entries, architectures, family, where)) {
      const std::optional<LoadedPlugin> plugin = loaded(*candidate.entry, family, unloadable);
      again = !plugin;
      if (again) break;
      std::string reason;
      std::unique_ptr<Family> found =
          configure_family(*plugin, family_for(*plugin, candidate.architecture, family, where),
                           config, candidate.architecture, where, &reason,
                           passed_over(entries, architectures, family, candidate));
      if (found != nullptr) return found;
      declined += fmt::format("; {} declines: {}", candidate.entry->library.string(), reason);
    }
    if (again) entries = find_plugins(directories, unloadable.reasons);
  }
  if (unloadable.first) std::rethrow_exception(unloadable.first);
  const std::vector<std::string> served = served_by(entries);
  fail(ErrorKind::unavailable, "{}: no plugin {}serves {}: this gist can use {}; {}{}", where,
       family.empty() ? "" : fmt::format("with a family '{}' ", family), joined(architectures),
       served.empty() ? "none" : joined(served), searched(directories, entries), declined);
}

}  // namespace gist
