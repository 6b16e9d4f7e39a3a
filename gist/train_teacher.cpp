#include "gist/train_teacher.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "core/fidelity.h"
#include "formats/files/json_text.h"
#include "formats/files/sha256.h"
#include "formats/model/fingerprint.h"
#include "kernels/error.h"

namespace gist {

TrainTeacher::TrainTeacher(ModelFiles files, const ModelSetup& setup, const BaseModel& student,
                           const ModelSpec& student_spec, const TrainTask& task)
    : files_(std::move(files)),
      setup_(setup),
      spec_(family_of(files_, setup_)->spec()),
      gisting_{Condition::pos, 0, task.gisting.prompt_template},
      options_(task.distillation.value()) {
  if (files_.settings) {
    gisting_.gist_tokens = files_.settings->gist_tokens;
    gisting_.prompt_template = files_.settings->prompt_template;
  }
  if (gisting_.gist_tokens > 0) gist_ids_ = gist_ids_of(files_);
  gisting_.prompt_template.require_tokens(files_.tokenizer);
  const GistIds student_ids = all_of(student.gist_ids, student.tokenizer.gist_ids());
  const GistIds own_ids = files_.tokenizer.gist_ids();
  try {
    (void)shared_vocabulary(spec_, student_spec, all_of(student_ids, own_ids));
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::data) throw;
    throw Error(ErrorKind::data, fmt::format("{} can't teach {} (--teacher): {}", files_.path,
                                             student.name, error.what()));
  }
  is_student_ = student.adapter && gisting_.gist_tokens == 0 && student.checkpoint &&
                model_sha256(files_.checkpoint) == model_sha256(*student.checkpoint);
  for (const GistIds& ids : {student_ids, own_ids}) {
    for (std::int32_t id = ids.first; ids.contains(id); ++id) excluded_.push_back(id);
  }
}

LabelledSequence TrainTeacher::read(const Record& record,
                                    std::span<const std::int32_t> answer) const {
  const FieldLookup fields = [&record](std::string_view name) { return record.string(name); };
  const std::vector<std::int32_t> own =
      answer_tokens(fields("output"), files_.tokenizer, std::nullopt);
  // The student's answer may end with what ends its texts.
  if (own.size() > answer.size() || !std::equal(own.begin(), own.end(), answer.begin())) {
    fail(ErrorKind::data,
         "{}:{}: the teacher {} has other tokens for the answer than the model that is trained: a "
         "teacher must have its student's vocabulary (--teacher)",
         record.where, record.line, files_.path);
  }
  LabelledSequence result;
  result.condition = Condition::pos;
  result.sequence =
      join(gisting_.prompt_template.before_gist(files_.tokenizer, fields), gist_ids_,
           gisting_.gist_tokens, gisting_.prompt_template.after_gist(files_.tokenizer, fields));
  result.sequence.ids.insert(result.sequence.ids.end(), answer.begin(), answer.end());
  result.labels = static_cast<std::int32_t>(answer.size());
  const std::int32_t tokens = result.sequence.tokens();
  if (spec_.max_positions > 0 && tokens > spec_.max_positions) {
    fail(
        ErrorKind::data,
        "{}:{}: the record takes {} tokens, but the teacher {} has {} positions; a limit of tokens "
        "(--max-tokens) leaves longer records out",
        record.where, record.line, tokens, files_.path, spec_.max_positions);
  }
  return result;
}

Model TrainTeacher::load(Backend& backend) const {
  return {family_of(files_, setup_), backend, files_.checkpoint.source()};
}

std::string TrainTeacher::fingerprint() const {
  nlohmann::ordered_json layout{{"gist-tokens", gisting_.gist_tokens},
                                {"template", gisting_.prompt_template.json()}};
  if (gist_ids_.distinct()) layout["gist-ids"] = gist_ids_.count;
  return to_hex(sha256(model_sha256(files_.checkpoint) + files_.config.dump() +
                       files_.tokenizer.sha256() + text_of_json(layout)));
}

LoadedTeacher::LoadedTeacher(const TeacherOfRun& teacher, const Model& student, Backend& backend)
    : written_(teacher.written) {
  if (written_ != nullptr) teacher_.emplace(written_->teacher());
  if (teacher.model == nullptr) return;
  if (!teacher.model->is_student()) model_.emplace(teacher.model->load(backend));
  scratch_.emplace(backend);
  teacher_.emplace(Teacher{model_ ? &*model_ : &student, teacher.model->options(),
                           teacher.model->excluded(), &*scratch_});
}

std::optional<Lesson> LoadedTeacher::lesson(const TeachingRecords& records) {
  if (!teacher_) return std::nullopt;
  if (written_ == nullptr) return Lesson{*teacher_, records.sequences};
  predictions_.clear();
  for (const std::uint32_t place : records.places) predictions_.push_back(written_->read(place));
  return Lesson{*teacher_, {}, predictions_};
}

}  // namespace gist
