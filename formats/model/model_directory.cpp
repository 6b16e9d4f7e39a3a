#include "formats/model/model_directory.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <numeric>

#include "formats/files/file_io.h"
#include "formats/files/json_text.h"
#include "formats/files/text.h"
#include "formats/gguf/gguf_config.h"
#include "formats/model/gist_token.h"
#include "formats/model/model_kind.h"
#include "kernels/error.h"

namespace gist {
namespace {

using nlohmann::json;

constexpr const char* model_config_name = "config.json";
constexpr const char* settings_name = "gist.json";
constexpr const char* model_format = "gist-model";
constexpr int format_major = 1;
constexpr const char* format_version = "1.1";
constexpr const char* one_id_version = "1.0";  // whose readers know one id, and no range of lengths
constexpr const char* tokens_key = "gist_tokens";
constexpr const char* ignored_key = "ignored_tensors";

const json& member(const json& content, const char* name, const std::string& where) {
  const auto found = content.find(name);
  if (found == content.end()) fail(ErrorKind::data, "{}: lacks \"{}\"", where, name);
  return *found;
}

const std::string& string_member(const json& content, const char* name, const std::string& where) {
  member(content, name, where);  // it must be there
  return text_member(content, name, where);
}

void check_version(const json& content, const std::string& where) {
  const std::string& format = string_member(content, "format", where);
  if (format != model_format) {
    fail(ErrorKind::data, "{}: \"format\" should be \"{}\", found {}", where, model_format,
         in_quotes(format));
  }
  const std::string& version = string_member(content, "version", where);
  int major = 0, minor = 0;
  const char* end = version.data() + version.size();
  const auto dot = std::from_chars(version.data(), end, major);
  const bool has_minor = dot.ec == std::errc() && dot.ptr != end && *dot.ptr == '.';
  const auto rest = has_minor ? std::from_chars(dot.ptr + 1, end, minor) : dot;
  if (!has_minor || rest.ec != std::errc() || rest.ptr != end || major < 1 || minor < 0) {
    fail(ErrorKind::data, "{}: \"version\" should be like \"{}\", found {}", where, format_version,
         in_quotes(version));
  }
  if (major > format_major) {
    fail(ErrorKind::data, "{}: version {} is newer than this gist reads ({}); update gist", where,
         version, format_version);
  }
}

Condition condition_in(const json& content, const std::string& where) {
  const std::string& name = string_member(content, "condition", where);
  const std::optional<Condition> condition = condition_named(name);
  if (!condition) {
    fail(ErrorKind::data, "{}: \"condition\" should be gist, pos or neg, found {}", where,
         in_quotes(name));
  }
  return *condition;
}

[[noreturn]] void refuse_tokens(const std::string& where) {
  fail(
      ErrorKind::data,
      "{}: \"{}\" should have \"least\" and \"most\", 1 <= least <= most <= {}, and perhaps \"ids\", "
      "whole numbers that follow each other, at least as many as most",
      where, tokens_key, most_gist_ids);
}

std::int32_t gist_number_in(const json& value, std::int32_t least, std::int32_t most,
                            const std::string& where) {
  if (!value.is_number_unsigned() ||
      value.get<std::uint64_t>() > static_cast<std::uint64_t>(most) ||
      value.get<std::int32_t>() < least) {
    refuse_tokens(where);
  }
  return value.get<std::int32_t>();
}

/// What is new in 1.1.
void read_gist_lengths(const json& value, GistSettings& settings, const std::string& where) {
  const auto member_of = [&](const char* name) -> const json& {
    const auto found = value.find(name);
    if (found == value.end()) refuse_tokens(where);
    return *found;
  };
  settings.gist_tokens = gist_number_in(member_of("most"), 1, most_gist_ids, where);
  settings.least_gist_tokens = gist_number_in(member_of("least"), 1, settings.gist_tokens, where);
  if (!value.contains("ids")) return;
  const std::optional<GistIds> ids = gist_ids_listed(value["ids"]);
  if (!ids || ids->count < settings.gist_tokens) refuse_tokens(where);
  settings.distinct_ids = *ids;
}

/// Only in the pos condition may a model be without gist tokens.
std::int32_t gist_tokens_in(const json& content, Condition condition, const std::string& where) {
  const json& value = member(content, tokens_key, where);
  const std::int32_t least = condition == Condition::pos ? 0 : 1;
  if (!value.is_number_unsigned() || value.get<std::uint64_t>() > max_gist_tokens ||
      value.get<std::int32_t>() < least) {
    fail(ErrorKind::data,
         "{}: \"gist_tokens\" should be an integer from {} to {} in the condition {}", where, least,
         max_gist_tokens, name_of(condition));
  }
  return value.get<std::int32_t>();
}

std::vector<std::string> ignored_tensors_in(const json& content, const std::string& where) {
  const auto found = content.find(ignored_key);
  if (found == content.end()) return {};
  const bool texts =
      found->is_array() &&
      std::all_of(found->begin(), found->end(), [](const json& name) { return name.is_string(); });
  if (!texts) {
    fail(ErrorKind::data, "{}: \"{}\" should be a list of tensors' names", where, ignored_key);
  }
  return found->get<std::vector<std::string>>();
}

}  // namespace

std::optional<GistIds> gist_ids_listed(const json& list) {
  constexpr std::int64_t largest = std::numeric_limits<std::int32_t>::max() - most_gist_ids;
  const auto number_at = [&](std::size_t i) -> std::int64_t {
    if (!list[i].is_number_unsigned()) return -1;
    return static_cast<std::int64_t>(
        std::min<std::uint64_t>(list[i].get<std::uint64_t>(), largest + most_gist_ids));
  };
  if (!list.is_array() || list.empty() || list.size() > std::size_t{most_gist_ids}) return {};
  const std::int64_t first = number_at(0);
  if (first < 0 || first > largest) return {};
  for (std::size_t i = 1; i < list.size(); ++i) {
    if (number_at(i) != first + static_cast<std::int64_t>(i)) return {};
  }
  return GistIds{static_cast<std::int32_t>(first), static_cast<std::int32_t>(list.size())};
}

std::optional<GistSettings> read_gist_json(const std::filesystem::path& directory) {
  const std::filesystem::path path = directory / settings_name;
  if (!may_exist(path)) return std::nullopt;
  const std::string where = path.string();
  const json content = read_json_object(path);
  check_version(content, where);
  GistSettings settings;
  settings.condition = condition_in(content, where);
  if (const json& tokens = member(content, tokens_key, where); tokens.is_object()) {
    read_gist_lengths(tokens, settings, where);
  } else {
    settings.gist_tokens = gist_tokens_in(content, settings.condition, where);
  }
  settings.prompt_template = PromptTemplate::parse(member(content, "template", where), where);
  settings.ignored_tensors = ignored_tensors_in(content, where);
  return settings;
}

void write_gist_json(const std::filesystem::path& directory, const GistSettings& settings) {
  nlohmann::ordered_json content;
  content["format"] = model_format;
  const bool more_than_one_id = settings.distinct_ids.distinct() || settings.least_gist_tokens > 0;
  content["version"] = more_than_one_id ? format_version : one_id_version;
  content["condition"] = name_of(settings.condition);
  if (more_than_one_id) {
    const std::int32_t most = settings.gist_tokens;
    content[tokens_key] = {
        {"least", settings.least_gist_tokens > 0 ? settings.least_gist_tokens : most},
        {"most", most}};
    if (settings.distinct_ids.distinct()) {
      std::vector<std::int32_t> ids(static_cast<std::size_t>(settings.distinct_ids.count));
      std::iota(ids.begin(), ids.end(), settings.distinct_ids.first);
      content[tokens_key]["ids"] = ids;
    }
  } else {
    content[tokens_key] = settings.gist_tokens;
  }
  content["template"] = settings.prompt_template.json();
  if (!settings.ignored_tensors.empty()) content[ignored_key] = settings.ignored_tensors;
  write_file_atomically(directory / settings_name, content.dump(2) + "\n");
}

std::string config_place(const std::filesystem::path& directory) {
  return gguf_file_of(directory).value_or(directory / model_config_name).string();
}

json read_config_json(const std::filesystem::path& directory) {
  if (const auto gguf = gguf_file_of(directory)) return gguf_config(read_gguf_file(*gguf));
  return read_json_object(directory / model_config_name);
}

std::vector<std::string> write_model_directory(const std::filesystem::path& directory,
                                               const ModelContent& content,
                                               std::size_t max_shard_bytes) {
  write_file_atomically(directory / model_config_name, content.config.dump(2) + "\n");
  if (content.same_weights.empty()) {
    write_safetensors(directory, content.tensors, max_shard_bytes);
  } else {
    share_safetensors(content.same_weights, directory);
  }
  write_gist_json(directory, content.settings);
  const std::filesystem::path generation = content.source / generation_config_name;
  if (!content.source.empty() && may_exist(generation)) {
    write_file_atomically(directory / generation_config_name, read_file(generation));
  }
  return write_tokenizer(content.tokenizer, directory, content.gist_tokens);
}

}  // namespace gist
