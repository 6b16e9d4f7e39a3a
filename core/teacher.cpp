#include "core/teacher.h"

#include <algorithm>

#include "kernels/error.h"

namespace gist {
namespace {

std::int64_t vocabulary_of(const Model& model) {
  return model.spec().weights[static_cast<std::size_t>(model.spec().head.weight)].shape[0];
}

Tensor uploaded_excluded(const Teacher& teacher, Workspace& memory) {
  if (teacher.excluded.empty()) return {};
  return memory.upload({std::ssize(teacher.excluded)}, Dtype::i32, teacher.excluded.data());
}

/// The divergence of each label from what a teacher that ran elsewhere expected.
Tensor known_divergence(const Model& student, const Predictions& found, const Lesson& lesson,
                        Workspace& memory) {
  const KnownPredictions expected = known_predictions(lesson, student, found.labels.size(), memory);
  const HeadInput head = head_input(student, found.hidden);
  const std::int64_t count = std::ssize(found.labels);
  const Tensor divergence = memory.allocate({count});
  student.backend().run(
      ops::TopDistillation{.hidden = head.hidden,
                           .head = student.weight(student.spec().head.weight, 0).tensor,
                           .bias = head.bias,
                           .cross_entropy = {head.scale, head.soft_cap},
                           .teacher = expected.top,
                           .spec = expected.spec,
                           .labels = memory.upload({count}, Dtype::i32, found.labels.data()),
                           .loss = memory.allocate({count}),
                           .divergence = divergence});
  return divergence;
}

Tensor model_divergence(const Model& student, const Predictions& found, const Lesson& lesson,
                        Workspace& memory) {
  const TeacherPredictions expected = teach(lesson, student, found.labels);
  const std::int64_t count = std::ssize(found.labels);
  const Tensor divergence = memory.allocate({count});
  student.backend().run(
      ops::LinearDivergence{.teacher = expected.head,
                            .student = head_input(student, found.hidden),
                            .spec = expected.divergence,
                            .divergence = divergence,
                            .teacher_best = memory.allocate({count}, Dtype::i32),
                            .student_best = memory.allocate({count}, Dtype::i32)});
  return divergence;
}

}  // namespace

TeacherPredictions teach(const Lesson& lesson, const Model& student,
                         std::span<const std::int32_t> labels) {
  const Teacher& teacher = lesson.teacher;
  if (&teacher.model->backend() != &student.backend()) {
    fail(ErrorKind::internal, "a teacher must stand on its student's backend");
  }
  const Predictions expected = predict(*teacher.model, lesson.sequences, *teacher.scratch);
  if (!std::equal(labels.begin(), labels.end(), expected.labels.begin(), expected.labels.end())) {
    fail(ErrorKind::internal, "a teacher must answer its student's {} labels; it has {}",
         labels.size(), expected.labels.size());
  }
  TeacherPredictions result;
  result.head = head_input(*teacher.model, expected.hidden);
  result.divergence.temperature = teacher.options.temperature;
  result.divergence.choices = std::min(vocabulary_of(*teacher.model), vocabulary_of(student));
  result.divergence.excluded = uploaded_excluded(teacher, teacher.scratch->lasting);
  return result;
}

KnownPredictions known_predictions(const Lesson& lesson, const Model& student, std::size_t labels,
                                   Workspace& memory) {
  std::vector<std::int32_t> ids;
  std::vector<float> log_p;
  for (const TopPredictions& each : lesson.predictions) {
    ids.insert(ids.end(), each.ids.begin(), each.ids.end());
    log_p.insert(log_p.end(), each.log_p.begin(), each.log_p.end());
  }
  if (ids.empty() || ids.size() % labels != 0 || ids.size() != log_p.size()) {
    fail(ErrorKind::internal, "a teacher must expect as many tokens of each of {} labels; found {}",
         labels, ids.size());
  }
  const Teacher& teacher = lesson.teacher;
  const auto count = static_cast<std::int64_t>(labels);
  const std::int64_t k = std::ssize(ids) / count;
  KnownPredictions result;
  result.top = {memory.upload({count, k}, Dtype::i32, ids.data()),
                memory.upload({count, k}, Dtype::f32, log_p.data())};
  result.spec.choices = std::min(teacher.vocabulary, vocabulary_of(student));
  result.spec.excluded = uploaded_excluded(teacher, memory);
  return result;
}

double teacher_divergence(const Model& student, std::span<const LabelledSequence> sequences,
                          const Lesson& lesson, Scratch& scratch) {
  const Predictions found = predict(student, sequences, scratch);
  const Tensor divergence = lesson.teacher.model == nullptr
                                ? known_divergence(student, found, lesson, scratch.lasting)
                                : model_divergence(student, found, lesson, scratch.lasting);
  std::vector<float> values(found.labels.size());
  student.backend().download(divergence, values.data());
  double sum = 0;
  for (const float each : values) sum += each;
  return sum;
}

double distillation_loss(const DistillationOptions& options, double cross_entropy,
                         double divergence) {
  const double weight = options.weight, temperature = options.temperature;
  return (1 - weight) * cross_entropy + weight * temperature * temperature * divergence;
}

}  // namespace gist
