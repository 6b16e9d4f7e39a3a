#include "plugins/host/config_host.h"

#include <cstdint>
#include <string_view>

namespace gist {
namespace {

using nlohmann::json;

struct Found {
  gist_status status = GIST_MISSING;
  const json* value = nullptr;
};

/// A key of the object itself wins over a path through it.
Found find(const json& object, std::string_view key) {
  if (!object.is_object()) return {GIST_WRONG_TYPE, nullptr};
  if (const auto at = object.find(key); at != object.end()) {
    return at->is_null() ? Found{} : Found{GIST_OK, &*at};
  }
  const std::size_t dot = key.find('.');
  if (dot == std::string_view::npos) return {};
  const auto at = object.find(key.substr(0, dot));
  if (at == object.end() || at->is_null()) return {};
  return find(*at, key.substr(dot + 1));
}

/// The getters' common part: `convert` answers whether the value has the type.
template <typename T, typename Convert>
gist_status get(const gist_config* config, const char* key, T* value, const Convert& convert) {
  if (config == nullptr || key == nullptr || value == nullptr) return GIST_MISSING;
  try {
    const Found found = find(*config->root, key);
    if (found.status != GIST_OK) return found.status;
    return convert(*found.value) ? GIST_OK : GIST_WRONG_TYPE;
  } catch (...) {
    return GIST_WRONG_TYPE;
  }
}

gist_status get_int(const gist_config* config, const char* key, std::int64_t* value) {
  return get(config, key, value, [&](const json& found) {
    if (!found.is_number_integer()) return false;
    if (found.is_number_unsigned() && found.get<std::uint64_t>() > INT64_MAX) return false;
    *value = found.get<std::int64_t>();
    return true;
  });
}

gist_status get_float(const gist_config* config, const char* key, double* value) {
  return get(config, key, value, [&](const json& found) {
    if (!found.is_number()) return false;
    *value = found.get<double>();
    return true;
  });
}

gist_status get_bool(const gist_config* config, const char* key, std::uint8_t* value) {
  return get(config, key, value, [&](const json& found) {
    if (!found.is_boolean()) return false;
    *value = found.get<bool>() ? 1 : 0;
    return true;
  });
}

gist_status get_string(const gist_config* config, const char* key, const char** value) {
  return get(config, key, value, [&](const json& found) {
    if (!found.is_string()) return false;
    const auto& text = found.get_ref<const std::string&>();
    if (text.find('\0') != std::string::npos) return false;
    *value = text.c_str();
    return true;
  });
}

gist_status get_json(const gist_config* config, const char* key, const char** text) {
  return get(config, key, text, [&](const json& found) {
    *text = config->texts.emplace_back(found.dump()).c_str();
    return true;
  });
}

void reject(const gist_config* config, const char* message) {
  if (config == nullptr || config->rejected) return;
  try {
    config->rejected = message == nullptr ? "" : message;
  } catch (...) {
    config->rejected.emplace();
  }
}

}  // namespace

const gist_config_host& config_host() {
  static constexpr gist_config_host host = {
      sizeof(gist_config_host), 0, get_int, get_float, get_bool, get_string, get_json, reject};
  return host;
}

}  // namespace gist
