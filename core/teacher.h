// A teacher is a model whose next-token distributions another one is trained towards (Hinton,
// Vinyals and Dean 2015): here one that sees the whole prompt, where the student sees its gists.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/model.h"
#include "core/predict.h"

namespace gist {

/// What a loss is made of with a teacher:
///   (1 - weight) cross-entropy + weight temperature^2 KL(teacher || student),
/// the divergence being that of the distributions softmax(logits / temperature).
struct DistillationOptions {
  float weight = 0.5F;    // in (0, 1]
  float temperature = 1;  // above 0
};

/// The model and the scratch must outlive it. The model stands on the student's backend.
struct Teacher {
  const Model& model;
  DistillationOptions options;
  /// Ids that stand in no distribution, as no answer has them: gist tokens.
  std::vector<std::int32_t> excluded;
  Scratch& scratch;  // of the teacher's passes alone
};

/// What a teacher reads of some records: sequence i ends with the same labels as the student's.
struct Lesson {
  const Teacher& teacher;
  std::span<const LabelledSequence> sequences;
};

/// What a teacher expects at each label of a lesson, in the teacher's scratch until its next pass.
struct TeacherPredictions {
  HeadInput head;
  DivergenceSpec divergence;
};
/// One pass of the teacher. `labels` are the student's, in order. Throws Error(internal) where the
/// lesson has others, or the teacher stands on another backend.
TeacherPredictions teach(const Lesson& lesson, const Model& student,
                         std::span<const std::int32_t> labels);

/// Returns the sum over the labels of KL(teacher || student), in nats, at the teacher's
/// temperature: one pass of each model. NaN where a logit isn't finite.
double teacher_divergence(const Model& student, std::span<const LabelledSequence> sequences,
                          const Lesson& lesson, Scratch& scratch);

/// The loss of sums over labels.
double distillation_loss(const DistillationOptions& options, double cross_entropy,
                         double divergence);

}  // namespace gist
