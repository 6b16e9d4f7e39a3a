#include "plugins/host/manifest.h"

#include <algorithm>

#include "formats/files/json_text.h"
#include "kernels/error.h"
#include "plugins/sdk/gist/plugin.h"

namespace gist {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

[[noreturn]] void refuse(const fs::path& path, std::string_view key, std::string_view expected,
                         const json& manifest) {
  const auto found = manifest.find(key);
  fail(ErrorKind::unavailable, "{}: \"{}\": expected {}, found {}", path.string(), key, expected,
       found == manifest.end() ? "nothing" : found->dump());
}

std::string text(const fs::path& path, const json& manifest, const char* key) {
  const auto found = manifest.find(key);
  if (found == manifest.end() || !found->is_string() ||
      found->get_ref<const std::string&>().empty()) {
    refuse(path, key, "a string", manifest);
  }
  return found->get<std::string>();
}

std::vector<std::string> texts(const fs::path& path, const json& manifest, const char* key) {
  const auto found = manifest.find(key);
  const auto is_text = [](const json& item) { return item.is_string(); };
  if (found == manifest.end() || !found->is_array() || found->empty() ||
      !std::all_of(found->begin(), found->end(), is_text)) {
    refuse(path, key, "a list of strings", manifest);
  }
  return found->get<std::vector<std::string>>();
}

}  // namespace

Manifest read_manifest(const fs::path& path) {
  json manifest;
  try {
    manifest = read_json_object(path);
  } catch (const Error& error) {
    throw Error(ErrorKind::unavailable, error.what());
  }

  Manifest result;
  result.name = text(path, manifest, "name");
  result.version = text(path, manifest, "version");
  const std::string library = text(path, manifest, "library");
  // The library stands beside its manifest: a path could name any file.
  if (library.find('/') != std::string::npos || library == "." || library == "..") {
    refuse(path, "library", "the name of a file beside the manifest", manifest);
  }
  result.library = path.parent_path() / library;
  const auto abi = manifest.find("abi");
  const auto is_number = [](const json& item) {
    return item.is_number_unsigned() && item.get<std::uint64_t>() <= 0xffff;
  };
  if (abi == manifest.end() || !abi->is_array() || abi->size() != 2 ||
      !std::all_of(abi->begin(), abi->end(), is_number)) {
    refuse(path, "abi", "[major, minor]", manifest);
  }
  result.abi_major = (*abi)[0].get<int>();
  result.abi_minor = (*abi)[1].get<int>();
  result.families = texts(path, manifest, "families");
  result.architectures = texts(path, manifest, "architectures");
  result.check = manifest.value("check", json::object());
  if (!result.check.is_object()) refuse(path, "check", "an object", manifest);
  return result;
}

std::string abi_mismatch(int major, int minor) {
  // A minor number may change anything before version 1.
  const bool usable =
      major == GIST_ABI_MAJOR && (major == 0 ? minor == GIST_ABI_MINOR : minor <= GIST_ABI_MINOR);
  if (usable) return "";
  return fmt::format("it is built for plugin ABI {}.{}, but this gist has {}.{}: rebuild it", major,
                     minor, GIST_ABI_MAJOR, GIST_ABI_MINOR);
}

std::vector<fs::path> manifests_in(const fs::path& directory) {
  std::vector<fs::path> found;
  std::error_code error;
  for (fs::directory_iterator at(directory, error), end; !error && at != end; at.increment(error)) {
    const std::string name = at->path().filename().string();
    if (name.size() > manifest_suffix.size() && name.ends_with(manifest_suffix)) {
      found.push_back(at->path());
    }
  }
  std::sort(found.begin(), found.end());
  return found;
}

fs::path manifest_path_for(const fs::path& library) {
  return library.parent_path() / (library.stem().string() + std::string(manifest_suffix));
}

}  // namespace gist
