// ShownEvaluation shows a person how far an evaluation is.
#pragma once

#include <optional>

#include "cli/progress.h"
#include "gist/evaluation_events.h"

namespace gist {

/// Shows what a system's turn has come to: its weights are loaded, its records measured.
class ShownEvaluation {
 public:
  ShownEvaluation() = default;
  ShownEvaluation(const ShownEvaluation&) = delete;
  ShownEvaluation& operator=(const ShownEvaluation&) = delete;

  /// The object must outlive them.
  EvaluationEvents events();

 private:
  void show(const EvaluationProgress& done);

  std::optional<Activity> loading_;
  std::optional<Progress> progress_;  // of the phase that runs
};

}  // namespace gist
