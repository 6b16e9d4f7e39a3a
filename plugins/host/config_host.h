// config.json as a plugin sees it: the host's side of gist_config_host.
#pragma once

#include <deque>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "plugins/sdk/gist/plugin.h"

/// Lives while `configure` runs.
struct gist_config {
  explicit gist_config(const nlohmann::json& config) : root(&config) {}

  const nlohmann::json* root;
  // Getters are const to a plugin; what they hand out and what it rejects are kept here.
  mutable std::deque<std::string> texts;
  mutable std::optional<std::string> rejected;
  mutable std::vector<std::string> warnings;
  mutable std::set<std::string> asked;  // keys of the root, whether they are there or not
};

namespace gist {

/// The getters. They let no exception out.
const gist_config_host& config_host();

/// Keys of a configuration that the family never asked for and that may change what a model computes:
/// none that is null or false, or that says how a model was trained, is run or decodes.
std::vector<std::string> unread_keys(const gist_config& config);

}  // namespace gist
