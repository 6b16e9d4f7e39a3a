#include "cli/output_list.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>

#include <nlohmann/json.hpp>

#include "formats/files/json_text.h"
#include "kernels/error.h"

namespace gist {

bool is_descriptor(const std::filesystem::path& path) {
  const std::string& text = path.native();
  return text == "/dev/stdout" || text == "/dev/stderr" || text.starts_with("/dev/fd/") ||
         text.starts_with("/proc/self/fd/");
}

bool is_output_list(const std::filesystem::path& path, const OutputListKind& kind) {
  std::error_code unknown;
  if (std::filesystem::symlink_status(path, unknown).type() !=
      std::filesystem::file_type::regular) {
    return false;
  }
  std::ifstream file(path, std::ios::binary);
  std::string line;
  std::getline(file, line);
  nlohmann::json first;
  try {
    first = parse_json(line, path.string());
  } catch (const Error&) {
    return false;
  }
  return first.is_object() &&
         std::all_of(kind.fields.begin(), kind.fields.end(),
                     [&first](std::string_view name) { return first.contains(name); });
}

std::optional<OutputListFile> output_list_file(const Options& options, const OutputListKind& kind) {
  if (!options.has(kind.option)) return std::nullopt;
  return OutputListFile{options.text(kind.option), options.knows("force") && options.flag("force")};
}

OutputList::OutputList(const OutputListFile& file, const OutputListKind& kind) : path_(file.path) {
  try {
    if (is_descriptor(path_) || is_pipe_or_device(path_) || is_empty_file(path_)) {
      opened_ = open_existing();
    } else {
      made_.emplace(path_);
      const bool replaces = file.replaces_any || is_output_list(path_, kind);
      made_->publish(replaces ? Existing::replace : Existing::refuse);
    }
  } catch (const Error& error) {
    throw Error(error.kind(), fmt::format("--{} {}", kind.option, error.what()));
  }
  lines_.emplace(made_ ? made_->descriptor() : opened_, path_);
}

OutputList::~OutputList() {
  if (opened_ >= 0) ::close(opened_);
}

int OutputList::open_existing() const {
  const int descriptor = ::open(path_.c_str(), O_WRONLY | O_APPEND | O_NOCTTY | O_CLOEXEC);
  if (descriptor < 0) fail_to_create(path_, errno);
  return descriptor;
}

}  // namespace gist
