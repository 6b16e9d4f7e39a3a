// The teacher of a training run: a model directory, how it reads records, and its weights.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/teacher.h"
#include "formats/records/jsonl.h"
#include "formats/sequences/gisting.h"
#include "gist/loaded_model.h"
#include "gist/train_model.h"
#include "gist/train_task.h"
#include "gist/train_written_teacher.h"

namespace gist {

/// A teacher sees the whole prompt: it reads records under the condition pos, in the layout and
/// with the gist tokens of its own gist.json, or without one in the student's layout and with none.
class TrainTeacher {
 public:
  /// `files` are the teacher's, opened; `student` is what is trained, its vocabulary fitted, with
  /// these shapes. Throws Error(data) where their vocabularies differ by more than gist tokens.
  TrainTeacher(ModelFiles files, const ModelSetup& setup, const BaseModel& student,
               const ModelSpec& student_spec, const TrainTask& task);

  /// The record with the student's answer. Throws Error(data), naming the line, where the teacher's
  /// tokenizer has other tokens for the answer, or the record takes more positions than it has.
  LabelledSequence read(const Record& record, std::span<const std::int32_t> answer) const;

  /// Its weights, on the student's backend.
  Model load(Backend& backend) const;
  const DistillationOptions& options() const { return options_; }
  /// The gist tokens of both models.
  const std::vector<std::int32_t>& excluded() const { return excluded_; }

  const std::string& name() const { return files_.path; }
  /// Names weights, tokenizer and layout, for comparison.
  std::string fingerprint() const;
  /// Whether the student's own weights, which its adapter leaves as they are, are the teacher's.
  bool is_student() const { return is_student_; }

 private:
  ModelFiles files_;
  ModelSetup setup_;
  ModelSpec spec_;
  Gisting gisting_;
  GistIds gist_ids_;
  bool is_student_ = false;
  DistillationOptions options_;
  std::vector<std::int32_t> excluded_;
};

/// Whom a run learns from: a model beside it, or what one wrote before, or nobody.
struct TeacherOfRun {
  const TrainTeacher* model = nullptr;
  const WrittenTeacher* written = nullptr;

  explicit operator bool() const { return model != nullptr || written != nullptr; }
};

/// What a teacher has of some records: what it reads, where it is a model, or else the places in its
/// file.
struct TeachingRecords {
  std::span<const LabelledSequence> sequences;
  std::span<const std::uint32_t> places;
};

/// A teacher's weights on a backend, and the memory of its passes; or what it wrote before; or
/// nothing, without a teacher. It stays where it is, as what it gives refers to it.
class LoadedTeacher {
 public:
  /// The teacher and the student, which may be the teacher as well, must outlive it.
  LoadedTeacher(const TeacherOfRun& teacher, const Model& student, Backend& backend);
  LoadedTeacher(const LoadedTeacher&) = delete;
  LoadedTeacher& operator=(const LoadedTeacher&) = delete;

  /// What it makes of these records, which must outlive the lesson; nothing without a teacher. The
  /// lesson lives until the next one. Throws as WrittenTeacher::read.
  std::optional<Lesson> lesson(const TeachingRecords& records);

 private:
  std::optional<Model> model_;
  std::optional<Scratch> scratch_;
  std::optional<Teacher> teacher_;
  const WrittenTeacher* written_;
  std::vector<TopPredictions> predictions_;  // of the last lesson
};

}  // namespace gist
