#include "plugins/host/loader.h"

#include <cstddef>
#include <cstring>
#include <set>
#include <utility>

#include "kernels/error.h"
#include "kernels/unclosed_library.h"
#include "plugins/host/manifest.h"
#include "plugins/host/running_callback.h"

namespace gist {
namespace {

namespace fs = std::filesystem;

constexpr std::uint32_t most_families = 256;
constexpr std::uint32_t most_architectures = 256;

const void* open_symbol(const fs::path& path) {
  UnclosedLibrary library;
  const std::string reason = [&] {
    const RunningCallback running(path.c_str(), "constructors");
    return library.open(path);
  }();
  if (!reason.empty()) {
    fail(ErrorKind::unavailable, "{}: can't be loaded: {}", path.string(), reason);
  }
  const void* symbol = library.symbol("gist_plugin");
  if (symbol == nullptr) {
    fail(ErrorKind::unavailable,
         "{}: not a gist plugin: the library doesn't export the symbol gist_plugin", path.string());
  }
  return symbol;
}

bool is_family_id(std::string_view id) {
  return id.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_-") == std::string_view::npos;
}

LoadedPlugin::Family read_family(const gist_family& family, std::uint32_t index) {
  if (family.size < sizeof(gist_family) || family.size > largest_struct) {
    fail(ErrorKind::unavailable, "family {} says it is {} bytes, expected {}", index, family.size,
         sizeof(gist_family));
  }
  LoadedPlugin::Family result;
  result.callbacks = &family;
  result.id = checked_text(family.id, fmt::format("the id of family {}", index));
  if (!is_family_id(result.id)) {
    fail(ErrorKind::unavailable, "the id '{}' of family {} has characters beyond a-z, 0-9, _ and -",
         result.id, index);
  }
  if (family.n_architectures == 0 || family.n_architectures > most_architectures ||
      family.architectures == nullptr) {
    fail(ErrorKind::unavailable, "family '{}' says it serves {} architectures, expected 1 to {}",
         result.id, family.architectures == nullptr ? 0 : family.n_architectures,
         most_architectures);
  }
  for (std::uint32_t i = 0; i < family.n_architectures; ++i) {
    result.architectures.push_back(checked_text(
        family.architectures[i], fmt::format("architecture {} of family '{}'", i, result.id)));
  }
  const std::pair<const char*, bool> callbacks[] = {{"configure", family.configure != nullptr},
                                                    {"destroy", family.destroy != nullptr},
                                                    {"enter", family.enter != nullptr},
                                                    {"layer", family.layer != nullptr},
                                                    {"leave", family.leave != nullptr}};
  for (const auto& [name, present] : callbacks) {
    if (!present) {
      fail(ErrorKind::unavailable, "family '{}' has no callback `{}`", result.id, name);
    }
  }
  return result;
}

LoadedPlugin read_believed(const gist_plugin_info& info, const fs::path& library) {
  LoadedPlugin plugin;
  plugin.library = library;
  plugin.name = checked_text(info.name, "the plugin's name");
  plugin.version = checked_text(info.version, "the plugin's version");
  if (info.n_families == 0 || info.n_families > most_families || info.families == nullptr) {
    fail(ErrorKind::unavailable, "it says it has {} families, expected 1 to {}",
         info.families == nullptr ? 0 : info.n_families, most_families);
  }
  std::set<std::string> ids;
  const auto* at = reinterpret_cast<const std::byte*>(info.families);
  for (std::uint32_t i = 0; i < info.n_families; ++i) {
    const auto* family = reinterpret_cast<const gist_family*>(at);
    plugin.families.push_back(read_family(*family, i));
    if (!ids.insert(plugin.families.back().id).second) {
      fail(ErrorKind::unavailable, "two of its families have the id '{}'",
           plugin.families.back().id);
    }
    at += family->size;
  }
  return plugin;
}

std::set<std::string> as_set(const std::vector<std::string>& list) {
  return {list.begin(), list.end()};
}

}  // namespace

std::string checked_text(const char* text, std::string_view what) {
  constexpr std::size_t longest = 1000;
  if (text == nullptr) fail(ErrorKind::unavailable, "{} is null", what);
  const std::size_t length = ::strnlen(text, longest + 1);
  if (length == 0 || length > longest) {
    fail(ErrorKind::unavailable, "{} is {}, expected 1 to {} bytes", what,
         length == 0 ? "empty" : "longer", longest);
  }
  std::string result(text, length);
  for (const char c : result) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      fail(ErrorKind::unavailable, "{} has a control character", what);
    }
  }
  return result;
}

LoadedPlugin read_plugin(const void* symbol, const fs::path& library) {
  // The fields that never change, copied, because nothing is known about the symbol yet.
  struct Head {
    std::uint32_t magic;
    std::uint16_t abi_major, abi_minor;
    std::uint32_t size;
  } head;
  static_assert(offsetof(gist_plugin_info, size) == offsetof(Head, size));
  std::memcpy(&head, symbol, sizeof head);
  if (head.magic != GIST_PLUGIN_MAGIC) {
    fail(ErrorKind::unavailable,
         "{}: not a gist plugin: gist_plugin begins with {:#010x}, expected {:#010x}",
         library.string(), head.magic, GIST_PLUGIN_MAGIC);
  }
  const std::string mismatch = abi_mismatch(head.abi_major, head.abi_minor);
  if (!mismatch.empty()) fail(ErrorKind::unavailable, "{}: {}", library.string(), mismatch);
  if (head.size < sizeof(gist_plugin_info) || head.size > largest_struct) {
    fail(ErrorKind::unavailable, "{}: gist_plugin says it is {} bytes, expected {}",
         library.string(), head.size, sizeof(gist_plugin_info));
  }
  try {
    return read_believed(*static_cast<const gist_plugin_info*>(symbol), library);
  } catch (const Error& error) {
    fail(ErrorKind::unavailable, "{}: not a usable plugin: {}", library.string(), error.what());
  }
}

void check_against_manifest(const LoadedPlugin& plugin, const std::vector<std::string>& families,
                            const std::vector<std::string>& architectures) {
  std::set<std::string> ids, served;
  for (const LoadedPlugin::Family& family : plugin.families) {
    ids.insert(family.id);
    served.insert(family.architectures.begin(), family.architectures.end());
  }
  const auto compare = [&](const char* what, const std::set<std::string>& library,
                           const std::set<std::string>& told) {
    if (library == told) return;
    fail(ErrorKind::unavailable, "{}: its {} are {}, but its manifest says {}",
         plugin.library.string(), what, fmt::join(library, ", "), fmt::join(told, ", "));
  };
  compare("families", ids, as_set(families));
  compare("architectures", served, as_set(architectures));
}

LoadedPlugin load_plugin(const fs::path& library) {
  std::error_code error;
  const fs::path canonical = fs::canonical(library, error);
  if (error) {
    fail(ErrorKind::unavailable, "{}: can't be loaded: {}", library.string(), error.message());
  }
  return read_plugin(open_symbol(canonical), canonical);
}

}  // namespace gist
