#include "formats/model/checksums.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "formats/files/file_io.h"
#include "formats/files/json_text.h"
#include "formats/files/sha256.h"
#include "formats/files/text.h"
#include "formats/model/safetensors.h"
#include "kernels/error.h"

namespace gist {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr const char* checksums_format = "gist-checksums";
constexpr const char* checksums_version = "1.0";
constexpr const char* remedy = "it is damaged";

bool is_safetensors(const fs::path& file) {
  return file.extension() == ".safetensors";
}

std::string checksum_of(std::span<const std::byte> bytes) {
  Sha256Stream hash;
  hash.update(bytes);
  return to_hex(hash.finish());
}

json checksums_of_tensors(const TensorFile& file) {
  json tensors = json::object();
  for (const auto& [name, entry] : file.tensors) {
    tensors[name] = checksum_of({entry.data, entry.bytes});
    file.release(entry);
  }
  return {{"header", checksum_of(safetensors_header(file))}, {"tensors", std::move(tensors)}};
}

json checksum_of_file(const fs::path& file) {
  if (is_safetensors(file)) return checksums_of_tensors(read_safetensors(file));
  return to_hex(sha256(read_file(file)));
}

/// The first tensor whose checksum isn't the one that was written, in words.
std::string damaged_part(const json& written, const json& found) {
  if (!written.is_object() || !found.is_object()) return "its bytes are";
  const json before = written.value("tensors", json::object());
  for (const auto& [name, checksum] : found["tensors"].items()) {
    if (before.value(name, json()) != checksum) return "tensor " + in_quotes(name) + " is";
  }
  return "its header is";
}

json read_checksums(const fs::path& path) {
  const json content = read_json_object(path);
  const auto files = content.find("files");
  if (content.value("format", json()) != checksums_format || files == content.end() ||
      !files->is_object()) {
    fail(ErrorKind::data, "{}: expected the checksums of the files beside it; {}", path.string(),
         remedy);
  }
  return *files;
}

}  // namespace

void write_checksums(const fs::path& directory) {
  json files = json::object();
  for (const auto& entry : fs::directory_iterator(directory)) {
    const std::string name = entry.path().filename().string();
    if (entry.is_regular_file() && name != checksums_name) {
      files[name] = checksum_of_file(entry.path());
    }
  }
  const nlohmann::ordered_json content{
      {"format", checksums_format}, {"version", checksums_version}, {"files", std::move(files)}};
  write_file_atomically(directory / checksums_name, text_of_json(content, 2) + "\n");
}

bool has_checksums(const fs::path& directory) {
  return may_exist(directory / checksums_name);
}

void verify_checksums(const fs::path& directory) {
  const json files = read_checksums(directory / checksums_name);
  for (const auto& [name, written] : files.items()) {
    const fs::path file = directory / fs::path(name).filename();
    if (!may_exist(file)) {
      fail(ErrorKind::data, "{} is missing; {} lists it", file.string(), checksums_name);
    }
    const json found = checksum_of_file(file);
    if (found == written) continue;
    fail(ErrorKind::data, "{}: {} not what was written ({} has another checksum): {}",
         file.string(), damaged_part(written, found), checksums_name, remedy);
  }
}

}  // namespace gist
