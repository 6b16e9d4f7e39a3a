// A directory of a test's own, into which it puts plugins.
#pragma once

#include <filesystem>
#include <string>

#include <nlohmann/json.hpp>

#include "kernels/error.h"

namespace gist {

class Sandbox {
 public:
  Sandbox();
  Sandbox(const Sandbox&) = delete;
  Sandbox& operator=(const Sandbox&) = delete;
  ~Sandbox();

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path write(const std::string& name, const std::string& text) const;
  /// A copy of one of the test modules' libraries, without its manifest.
  std::filesystem::path library(const std::string& module) const;
  /// A library with its manifest, of which some keys are replaced.
  std::filesystem::path plugin(const std::string& module,
                               const nlohmann::json& replaced = nlohmann::json::object()) const;

 private:
  std::filesystem::path path_;
};

/// The message of the error of this kind that `body` throws; a complaint if it throws none.
template <typename Body>
std::string error_of(ErrorKind kind, const Body& body) {
  try {
    body();
  } catch (const Error& error) {
    if (error.kind() == kind) return error.what();
    return std::string("an error of another kind: ") + error.what();
  }
  return "no error";
}

}  // namespace gist
