// A teacher is a model whose next-token distributions another one is trained towards (Hinton,
// Vinyals and Dean 2015): here one that sees the whole prompt, where the student sees its gists. It
// runs beside the student, or has run before, elsewhere, and its likeliest tokens are known.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/model.h"
#include "core/predict.h"
#include "core/top_predictions.h"

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
  /// Null: it ran elsewhere, and its lessons bring what it expected.
  const Model* model = nullptr;
  DistillationOptions options;  // without a model at temperature 1
  /// Ids that stand in no distribution, as no answer has them: gist tokens.
  std::vector<std::int32_t> excluded;
  Scratch* scratch = nullptr;   // of the teacher's passes alone; null without a model
  std::int64_t vocabulary = 0;  // the rows of its head, where there is no model
};

/// What a teacher reads of some records, or where it ran elsewhere, what it expected of them.
/// Sequence i ends with the same labels as the student's.
struct Lesson {
  const Teacher& teacher;
  std::span<const LabelledSequence> sequences;
  std::span<const TopPredictions> predictions = {};

  /// That of records begin .. begin + count - 1.
  Lesson part(std::size_t begin, std::size_t count) const {
    if (teacher.model == nullptr) return {teacher, {}, predictions.subspan(begin, count)};
    return {teacher, sequences.subspan(begin, count)};
  }
};

/// What a teacher expects at each label of a lesson, in the teacher's scratch until its next pass.
struct TeacherPredictions {
  HeadInput head;
  DivergenceSpec divergence;
};
/// One pass of the teacher, which has a model. `labels` are the student's, in order. Throws Error(internal) where the
/// lesson has others, or the teacher stands on another backend.
TeacherPredictions teach(const Lesson& lesson, const Model& student,
                         std::span<const std::int32_t> labels);

/// What a teacher that ran elsewhere expected, for operations.
struct KnownPredictions {
  TopChoices top;  // of `labels` labels, in `memory`
  DivergenceSpec spec;
};
/// Throws Error(internal) where the lesson has predictions of other labels.
KnownPredictions known_predictions(const Lesson& lesson, const Model& student, std::size_t labels,
                                   Workspace& memory);

/// Returns the sum over the labels of KL(teacher || student), in nats, at the teacher's
/// temperature: one pass of each model; of a teacher that ran elsewhere, what its likeliest tokens
/// add to it (kernels/ops/top_choices.h). NaN where a logit isn't finite.
double teacher_divergence(const Model& student, std::span<const LabelledSequence> sequences,
                          const Lesson& lesson, Scratch& scratch);

/// The loss of sums over labels.
double distillation_loss(const DistillationOptions& options, double cross_entropy,
                         double divergence);

}  // namespace gist
