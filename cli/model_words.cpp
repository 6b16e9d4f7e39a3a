#include "cli/model_words.h"

#include <fmt/format.h>

#include "cli/words.h"
#include "kernels/cpu/process_limits.h"

namespace gist {
namespace {

std::int64_t parameters_of(const ModelSpec& spec) {
  std::int64_t sum = 0;
  for (const WeightSpec& weight : spec.weights) {
    if (weight.tied_to.empty()) sum += weight.shape.elements() * copies_of(weight, spec);
  }
  return sum;
}

std::string in_words(std::int64_t parameters) {
  const auto count = static_cast<double>(parameters);
  if (count < 1e6) return counted(static_cast<std::uint64_t>(parameters), "parameter");
  return count < 1e9 ? fmt::format("{:.1f} million parameters", count * 1e-6)
                     : fmt::format("{:.1f} billion parameters", count * 1e-9);
}

}  // namespace

std::string model_in_words(const std::string& model, const ModelSpec& spec, const Backend& backend,
                           const ModelSetup& setup) {
  std::string text = fmt::format("{} ({}, {}) on {}", model, spec.family,
                                 in_words(parameters_of(spec)), backend.name());
  if (backend.name() == "cpu") {
    const std::int64_t asked = setup.compute.threads;
    const std::int64_t threads = asked > 0 ? asked : cpu::usable_threads();
    text += ", " + counted(static_cast<std::uint64_t>(threads), "thread");
  }
  return text + fmt::format(", {}", name_of(setup.compute.dtype));
}

}  // namespace gist
