#include "gist/train_written_teacher.h"

#include <algorithm>

#include "formats/model/fingerprint.h"
#include "kernels/error.h"

namespace gist {
namespace {

std::string_view text_or_none(const Record& record, std::string_view name) {
  const std::string* text = record.find_string(name);
  return text == nullptr ? std::string_view() : std::string_view(*text);
}

}  // namespace

WrittenTeacher::WrittenTeacher(const std::filesystem::path& path, const BaseModel& student,
                               const TrainTask& task)
    : file_(path), student_(student.name), options_(task.distillation.value()) {
  if (options_.temperature != 1) {
    fail(ErrorKind::usage,
         "log-probabilities from a file (--teacher-logprobs) are those at temperature 1: leave out "
         "--temperature, found {}",
         options_.temperature);
  }
  if (vocabulary_sha256(student.tokenizer) != file_.header().vocabulary_sha256) {
    fail(ErrorKind::data,
         "{} has log-probabilities of another vocabulary than that of {}: a teacher must have its "
         "student's tokens (--teacher-logprobs)",
         name(), student_);
  }
  const GistIds ids = all_of(student.gist_ids, student.tokenizer.gist_ids());
  for (std::int32_t id = ids.first; ids.contains(id); ++id) excluded_.push_back(id);
}

std::uint32_t WrittenTeacher::find(const Record& record,
                                   std::span<const std::int32_t> answer) const {
  const std::optional<std::uint32_t> place =
      file_.find(record_key(text_or_none(record, "instruction"), text_or_none(record, "input"),
                            text_or_none(record, "output")));
  if (!place) {
    fail(
        ErrorKind::data,
        "{}:{}: {} has no log-probabilities of this record (--teacher-logprobs): it needs those of "
        "all records, held-out ones as well, from gist evaluate --write-logprobs",
        record.where, record.line, name());
  }
  const std::span<const std::int32_t> labels = file_.labels(*place);
  if (!std::equal(labels.begin(), labels.end(), answer.begin(), answer.end())) {
    fail(ErrorKind::data,
         "{}:{}: {} has other tokens for the answer than {}: a teacher must have its student's "
         "tokenizer and end of texts (--teacher-logprobs)",
         record.where, record.line, name(), student_);
  }
  return *place;
}

Teacher WrittenTeacher::teacher() const {
  Teacher result;
  result.options = options_;
  result.excluded = excluded_;
  result.vocabulary = file_.header().vocabulary;
  return result;
}

}  // namespace gist
