// These golden values are what Python programs give for the metrics on texts
// (tests/interop/quality_golden.py).
#pragma once

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

namespace gist {

/// The rows with this name.
inline nlohmann::json golden(const std::string& name) {
  std::ifstream file(GIST_FIXTURES "/quality/golden.json");
  return nlohmann::json::parse(file).at(name);
}

}  // namespace gist
