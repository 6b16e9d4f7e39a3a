#include "cli/rejects.h"

#include <spdlog/spdlog.h>

#include <nlohmann/json.hpp>

#include "cli/line_writer.h"
#include "cli/words.h"
#include "formats/files/json_text.h"

namespace gist {

std::vector<OptionSpec> reject_options() {
  return {{"keep-going", OptionKind::flag, "", "", "skip bad records, and exit 1"},
          {"errors", OptionKind::text, "FILE", "",
           "where skipped records go, with the reason, in place of a warning for each"}};
}

RejectsRequest rejects_request(const Options& options) {
  RejectsRequest request{options.flag("keep-going"), output_list_file(options, errors_list)};
  if (request.errors && !request.keep_going) {
    fail(ErrorKind::usage, "--errors needs --keep-going");
  }
  return request;
}

Rejects::Rejects(const RejectsRequest& request) : keep_going_(request.keep_going) {
  if (request.errors) list_.emplace(*request.errors, errors_list);
}

void Rejects::reject(const Record& record, const Error& error) {
  if (!keep_going_) throw error;
  ++count_;
  if (!list_) return spdlog::warn("{}", error.what());
  nlohmann::ordered_json line{{"line", record.line},
                              {"ordinal", record.ordinal},
                              {"reason", error.what()},
                              {"record", record.text}};
  list_->lines().line(text_of_json(line));
  list_->lines().flush();
}

void Rejects::tell_listed() const {
  if (!list_ || count_ == 0) return;
  spdlog::warn("{} rejected: {} with the reason{} in {}", counted(count_, "record"),
               count_ == 1 ? "it stands" : "they stand", count_ == 1 ? "" : "s", list_->path());
}

}  // namespace gist
