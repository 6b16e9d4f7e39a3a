#include "plugins/host/check/weights.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "core/answer_loss.h"
#include "core/loss_gradient.h"
#include "core/parameters.h"
#include "formats/files/text.h"
#include "kernels/cpu/cpu_backend.h"
#include "kernels/error.h"
#include "plugins/host/check/random_weights.h"
#include "plugins/host/check/walk.h"

namespace gist {
namespace {

double dot(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += double{a[i]} * b[i];
  return sum;
}

double length_of(const std::vector<float>& values) {
  return std::sqrt(dot(values, values));
}

class TrainedModel {
 public:
  explicit TrainedModel(std::unique_ptr<Family> family)
      : backend_(make_cpu_backend({.threads = 1})),
        parameters_(family->spec(), *backend_),
        model_(std::move(family), parameters_),
        scratch_(*backend_) {
    const RandomWeights weights(model_.spec());
    load(parameters_, weights.source());
    LabelledSequence& text = text_.emplace_back();
    text.sequence.ids = random_ids(model_.spec());
    text.labels = text.sequence.tokens() / 2;
  }

  const std::vector<Parameter>& list() const { return parameters_.list(); }

  /// Of the loss, by all weights, in their order.
  std::vector<std::vector<float>> gradients(bool recompute) {
    const Tensor all = parameters_.all(Parameters::Kind::gradient);
    const std::vector<float> zeros(static_cast<std::size_t>(all.shape.elements()));
    backend_->upload(all, zeros.data());
    TrainingScratch scratch(*backend_);
    LossOptions options;
    options.recompute = recompute;
    add_loss_gradient(model_, text_, options, scratch);
    std::vector<std::vector<float>> found;
    for (const Parameter& parameter : list()) {
      found.push_back(read(Parameters::Kind::gradient, parameter));
    }
    return found;
  }

  /// The loss where a weight has moved by `step` along a direction.
  double loss(const Parameter& parameter, const std::vector<float>& direction, double step) {
    const std::vector<float> values = read(Parameters::Kind::value, parameter);
    std::vector<float> moved(values);
    for (std::size_t i = 0; i < moved.size(); ++i) {
      moved[i] += static_cast<float>(step * direction[i]);
    }
    const Tensor weight = parameters_.of(Parameters::Kind::value, parameter);
    backend_->upload(weight, moved.data());
    const double sum = answer_loss(model_, text_, scratch_)[0].sum;
    backend_->upload(weight, values.data());
    return sum;
  }

  double size_of(const Parameter& parameter) {
    return length_of(read(Parameters::Kind::value, parameter));
  }

 private:
  std::vector<float> read(Parameters::Kind kind, const Parameter& parameter) {
    return downloaded(*backend_, parameters_.of(kind, parameter));
  }

  std::unique_ptr<Backend> backend_;
  Parameters parameters_;
  Model model_;
  Scratch scratch_;
  std::vector<LabelledSequence> text_;
};

/// Along the gradient, and a bit aside: an error of either's size or direction is seen.
std::vector<float> direction_near(const std::vector<float>& gradient, std::mt19937& random) {
  std::normal_distribution<float> normal;
  std::vector<float> aside(gradient.size());
  std::generate(aside.begin(), aside.end(), [&] { return normal(random); });
  const double along = 1 / length_of(gradient);
  const double beside = 0.5 / length_of(aside);
  std::vector<float> direction(gradient.size());
  for (std::size_t i = 0; i < direction.size(); ++i) {
    direction[i] = static_cast<float>(along * gradient[i] + beside * aside[i]);
  }
  return direction;
}

/// What the loss does when the weight moves, against its gradient; "" where they agree.
std::string wrong_gradient(TrainedModel& model, const Parameter& parameter,
                           const std::vector<float>& gradient, std::mt19937& random) {
  constexpr double change = 0.05;  // of the loss, in nats
  constexpr double share = 0.02;   // of the weight, at most
  constexpr double tolerance = 0.05, rounding = 5e-4;
  const std::vector<float> direction = direction_near(gradient, random);
  const double slope = dot(gradient, direction);
  const double step = std::min(change / slope, share * model.size_of(parameter));
  const double expected = 2 * step * slope;
  const double found =
      model.loss(parameter, direction, step) - model.loss(parameter, direction, -step);
  if (std::fabs(found - expected) <= tolerance * std::fabs(expected) + rounding) return "";
  return fmt::format(
      "the gradient of {} says that the loss changes by {:.4g} where it changes by {:.4g}: a callback "
      "of this weight's layer depends on something other than its arguments, weights and "
      "configuration",
      parameter.name, expected, found);
}

}  // namespace

std::string broken_weights(const CheckSubject& subject) {
  TrainedModel model(subject.configured(subject.config));
  const std::vector<std::vector<float>> gradients = model.gradients(false);
  std::vector<std::string> unused;
  for (std::size_t i = 0; i < gradients.size(); ++i) {
    const auto is_zero = [](float value) { return value == 0; };
    if (std::all_of(gradients[i].begin(), gradients[i].end(), is_zero)) {
      unused.push_back(model.list()[i].name);
    }
  }
  if (!unused.empty()) {
    return fmt::format(
        "declared, but no callback uses {}: its gradient is zero; use it, or don't declare it",
        first_few(unused));
  }
  const std::vector<std::vector<float>> recomputed = model.gradients(true);
  for (std::size_t i = 0; i < gradients.size(); ++i) {
    if (gradients[i] == recomputed[i]) continue;
    return fmt::format(
        "the gradient of {} is another one where layers are computed again (--recompute): `layer` "
        "must give the same tensors without `enter` having run before it; look at what callbacks "
        "leave in members",
        model.list()[i].name);
  }
  std::mt19937 random(5);
  for (std::size_t i = 0; i < gradients.size(); ++i) {
    std::string found = wrong_gradient(model, model.list()[i], gradients[i], random);
    if (!found.empty()) return found;
  }
  return "";
}

}  // namespace gist
