#include "core/teacher.h"

#include <algorithm>

#include "kernels/error.h"

namespace gist {
namespace {

std::int64_t vocabulary_of(const Model& model) {
  return model.spec().weights[static_cast<std::size_t>(model.spec().head.weight)].shape[0];
}

HeadInput head_input(const Model& model, const Tensor& hidden) {
  const HeadSpec& head = model.spec().head;
  return {hidden, model.weight(head.weight, 0).matrix.get(),
          head.bias < 0 ? Tensor{} : model.weight(head.bias, 0).tensor, head.scale, head.soft_cap};
}

}  // namespace

TeacherPredictions teach(const Lesson& lesson, const Model& student,
                         std::span<const std::int32_t> labels) {
  const Teacher& teacher = lesson.teacher;
  if (&teacher.model.backend() != &student.backend()) {
    fail(ErrorKind::internal, "a teacher must stand on its student's backend");
  }
  const Predictions expected = predict(teacher.model, lesson.sequences, teacher.scratch);
  if (!std::equal(labels.begin(), labels.end(), expected.labels.begin(), expected.labels.end())) {
    fail(ErrorKind::internal, "a teacher must answer its student's {} labels; it has {}",
         labels.size(), expected.labels.size());
  }
  TeacherPredictions result;
  result.head = head_input(teacher.model, expected.hidden);
  result.divergence.temperature = teacher.options.temperature;
  result.divergence.choices = std::min(vocabulary_of(teacher.model), vocabulary_of(student));
  if (const auto count = static_cast<std::int64_t>(teacher.excluded.size()); count > 0) {
    result.divergence.excluded =
        teacher.scratch.lasting.upload({count}, Dtype::i32, teacher.excluded.data());
  }
  return result;
}

double teacher_divergence(const Model& student, std::span<const LabelledSequence> sequences,
                          const Lesson& lesson, Scratch& scratch) {
  const Predictions found = predict(student, sequences, scratch);
  const TeacherPredictions expected = teach(lesson, student, found.labels);
  Backend& backend = student.backend();
  Workspace& memory = scratch.lasting;
  const auto count = static_cast<std::int64_t>(found.labels.size());
  const Tensor divergence = memory.allocate({count});
  backend.run(ops::LinearDivergence{.teacher = expected.head,
                                    .student = head_input(student, found.hidden),
                                    .spec = expected.divergence,
                                    .divergence = divergence,
                                    .teacher_best = memory.allocate({count}, Dtype::i32),
                                    .student_best = memory.allocate({count}, Dtype::i32)});
  std::vector<float> values(found.labels.size());
  backend.download(divergence, values.data());
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
