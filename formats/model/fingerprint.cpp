#include "formats/model/fingerprint.h"

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <system_error>

#include "formats/files/file_io.h"
#include "formats/files/json_text.h"
#include "formats/files/sha256.h"
#include "formats/files/user_cache.h"
#include "kernels/error.h"

namespace gist {
namespace {

using nlohmann::json;

constexpr const char* cache_name = ".gist-fingerprint.json";

/// A file that changed this recently could change again within the same tick of its file system's
/// clock.
constexpr std::int64_t settling_ns = 2'000'000'000;

/// Returns what the cached value was computed from: it holds as long as that is the same.
json key_of(const Checkpoint& checkpoint) {
  json key = json::array();
  for (const TensorFile& file : checkpoint.files()) {
    const FileIdentity& identity = file.file.identity();
    key.push_back({{"name", file.file.path().filename().string()},
                   {"size", file.file.size()},
                   {"device", identity.device},
                   {"inode", identity.inode},
                   {"modified_ns", identity.modified_ns},
                   {"changed_ns", identity.changed_ns}});
  }
  return key;
}

bool settled(const Checkpoint& checkpoint, std::chrono::system_clock::time_point now) {
  const std::int64_t now_ns =
      std::chrono::duration_cast<std::chrono::nanoseconds>(now.time_since_epoch()).count();
  return std::all_of(
      checkpoint.files().begin(), checkpoint.files().end(), [&](const TensorFile& file) {
        return std::max(file.file.identity().modified_ns, file.file.identity().changed_ns) <
               now_ns - settling_ns;
      });
}

/// The places where a directory's fingerprint may be cached, in order.
std::vector<std::filesystem::path> cache_files(const std::filesystem::path& directory) {
  std::vector<std::filesystem::path> files{directory / cache_name};
  std::error_code error;
  const std::filesystem::path whole = std::filesystem::canonical(directory, error);
  const std::optional<std::filesystem::path> user = user_cache_directory();
  if (!error && user) files.push_back(*user / (to_hex(sha256(whole.string())) + cache_name));
  return files;
}

bool is_sha256(const json& value) {
  return value.is_string() && value.get_ref<const std::string&>().size() == 64 &&
         value.get_ref<const std::string&>().find_first_not_of("0123456789abcdef") ==
             std::string::npos;
}

std::optional<std::string> cached(const std::filesystem::path& file, const json& key) {
  try {
    const json content = parse_json(read_file(file), file.string());
    if (content.is_object() && content.value("files", json()) == key &&
        is_sha256(content.value("sha256", json()))) {
      return content["sha256"].get<std::string>();
    }
  } catch (const Error&) {
    // Missing or damaged: as good as none.
  }
  return std::nullopt;
}

bool write_cache(const std::filesystem::path& file, const json& content) {
  try {
    std::error_code ignored;  // writing tells
    std::filesystem::create_directories(file.parent_path(), ignored);
    write_file_atomically(file, text_of_json(content) + "\n");
    return true;
  } catch (const Error&) {
    return false;
  }
}

}  // namespace

std::string compute_model_sha256(const Checkpoint& checkpoint) {
  const WeightSource source = checkpoint.source();
  Sha256Stream stream;
  for (const auto& [name, entry] : checkpoint.tensors()) {
    std::string dims;
    for (const std::int64_t size : entry->shape) {
      dims += (dims.empty() ? "" : ",") + std::to_string(size);
    }
    using namespace std::string_view_literals;
    for (const std::string_view part :
         {std::string_view(name), "\0"sv, std::string_view(entry->dtype), "\0"sv,
          std::string_view(dims), "\0"sv}) {
      stream.update(part);
    }
    stream.update(std::span(entry->data, entry->bytes));
    source.done(name);
  }
  return to_hex(stream.finish());
}

std::string model_sha256(const Checkpoint& checkpoint, std::chrono::system_clock::time_point now) {
  const json key = key_of(checkpoint);
  const std::vector<std::filesystem::path> files = cache_files(checkpoint.directory());
  for (const std::filesystem::path& file : files) {
    if (const std::optional<std::string> known = cached(file, key)) return *known;
  }
  std::string digest = compute_model_sha256(checkpoint);
  if (settled(checkpoint, now)) {
    const json content = {{"files", key}, {"sha256", digest}};
    for (const std::filesystem::path& file : files) {
      if (write_cache(file, content)) break;
    }
  }
  return digest;
}

std::string vocabulary_sha256(const Tokenizer& tokenizer) {
  constexpr std::string_view end("\0", 1);
  Sha256Stream hash;
  const auto add = [&](const std::string& text) {
    hash.update(text);
    hash.update(end);
  };
  for (std::int32_t id = 0; id < tokenizer.pieces(); ++id) add(tokenizer.piece_of_id(id));
  const GistIds gist_ids = tokenizer.gist_ids();
  for (const AddedToken& token : tokenizer.added_tokens()) {
    if (!gist_ids.contains(static_cast<std::int32_t>(token.id))) add(token.text);
  }
  return to_hex(hash.finish());
}

}  // namespace gist
