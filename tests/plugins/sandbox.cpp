#include "tests/plugins/sandbox.h"

#include <stdlib.h>

#include <fstream>

namespace gist {

namespace fs = std::filesystem;

Sandbox::Sandbox() {
  std::string name = (fs::temp_directory_path() / "gist-plugins-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) fail(ErrorKind::io, "no directory for the test");
  path_ = fs::canonical(name);
}

Sandbox::~Sandbox() {
  std::error_code error;
  fs::remove_all(path_, error);
}

fs::path Sandbox::write(const std::string& name, const std::string& text) const {
  std::ofstream(path_ / name) << text;
  return path_ / name;
}

fs::path Sandbox::library(const std::string& module) const {
  const fs::path copy = path_ / (module + ".so");
  fs::copy_file(fs::path(GIST_MODULES) / (module + ".so"), copy);
  return copy;
}

fs::path Sandbox::plugin(const std::string& module, const nlohmann::json& replaced) const {
  std::ifstream file(fs::path(GIST_MODULES) / (module + ".gist.json"));
  nlohmann::json manifest = nlohmann::json::parse(file);
  manifest.update(replaced);
  write(module + ".gist.json", manifest.dump());
  return library(module);
}

}  // namespace gist
