// Parameters are what training changes: every weight of a model once (tied weights share one), or
// what an adapter is made of, with its gradient and AdamW's state, all in f32. Each of the four
// kinds lies in one array, so that the optimiser and the gradient's norm are one call.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/model.h"

namespace gist {

struct Parameter {
  std::string name;  // in the checkpoint
  Shape shape;
  Initializer init;
  bool stored_transposed = false;  // in the checkpoint
  bool decays = true;              // whether weight decay applies to it
  std::int64_t offset = 0;         // of its first value in each array
};

/// Of every weight that a model declares.
std::vector<Parameter> model_parameters(const ModelSpec& spec);

class Parameters {
 public:
  enum class Use : std::uint8_t { training, inference };

  /// Allocates the four arrays, of zeros; for inference that of the values alone. `list` is kept in
  /// its order, those that decay first; the offsets are found here.
  Parameters(const std::vector<Parameter>& list, Backend& backend, Use use = Use::training);
  /// Those of a model.
  Parameters(const ModelSpec& spec, Backend& backend)
      : Parameters(model_parameters(spec), backend) {}

  Backend& backend() const { return *backend_; }
  const std::vector<Parameter>& list() const { return list_; }
  /// Throws Error(internal) where there is none of that name.
  const Parameter& named(const std::string& name) const;

  enum class Kind : std::uint8_t { value, gradient, first_moment, second_moment };
  /// A parameter's part of an array; without data where there is no such array.
  Tensor of(Kind kind, const Parameter& parameter) const;
  /// A whole array, f32 [elements]; between parameters it holds zeros.
  Tensor all(Kind kind) const;
  /// What decays comes first in each array.
  std::int64_t decayed_elements() const { return decayed_; }
  std::int64_t elements() const { return elements_; }
  /// Values of all parameters, without the gaps.
  std::int64_t count() const;

 private:
  Backend* backend_;
  std::vector<Parameter> list_;
  std::int64_t decayed_ = 0;
  std::int64_t elements_ = 0;
  Buffer arrays_[4];  // by Kind
};

/// Fills the values from a source, as Model does. Throws Error(data) as Model does.
void load(Parameters& parameters, const WeightSource& source);

/// Draws the values as each parameter declares. They depend on the seed and the parameter's name
/// alone.
void initialise(Parameters& parameters, std::uint64_t seed);

}  // namespace gist
