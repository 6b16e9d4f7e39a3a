// A family behind the C ABI.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "core/model.h"
#include "plugins/host/loader.h"

namespace gist {

/// Configures a family of a loaded plugin. Throws Error(data) with the family's reason where it
/// rejects the configuration (`where` names it), and Error(unavailable) where it declares nonsense.
/// The family's callbacks then throw Error(unavailable), naming plugin, callback, layer, operation
/// and shapes, where an operation of theirs fails. Null, with the family's reason in `declined`, where
/// it leaves the configuration to another family; without `declined` that is an Error(data), too. Its
/// ModelSpec's warnings begin with those given.
std::unique_ptr<Family> configure_family(const LoadedPlugin& plugin,
                                         const LoadedPlugin::Family& family,
                                         const nlohmann::json& config,
                                         const std::string& architecture, const std::string& where,
                                         std::string* declined = nullptr,
                                         std::vector<std::string> warnings = {});

/// What a family read of a configuration.
struct KeysRead {
  std::set<std::string> asked;      // keys and paths, whether they are there or not
  std::vector<std::string> unread;  // those that the host warns of
};
/// Configures the family once more, for this alone. Throws as configure_family does where it fails.
KeysRead keys_read(const LoadedPlugin& plugin, const LoadedPlugin::Family& family,
                   const nlohmann::json& config);

}  // namespace gist
