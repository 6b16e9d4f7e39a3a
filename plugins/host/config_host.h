// config.json as a plugin sees it: the host's side of gist_config_host.
#pragma once

#include <deque>
#include <optional>
#include <string>

#include <nlohmann/json.hpp>

#include "plugins/sdk/gist/plugin.h"

/// Lives while `configure` runs.
struct gist_config {
  explicit gist_config(const nlohmann::json& config) : root(&config) {}

  const nlohmann::json* root;
  // Getters are const to a plugin; what they hand out and what it rejects are kept here.
  mutable std::deque<std::string> texts;
  mutable std::optional<std::string> rejected;
};

namespace gist {

/// The getters. They let no exception out.
const gist_config_host& config_host();

}  // namespace gist
