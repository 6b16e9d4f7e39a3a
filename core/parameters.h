// Parameters are what training changes: every weight of a model once (tied weights share one), with
// its gradient and AdamW's state, all in f32. Each of the four kinds lies in one array, so that the
// optimiser and the gradient's norm are one call.
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
  std::int64_t offset = 0;         // of its first value in each array
};

class Parameters {
 public:
  /// Allocates the four arrays: gradients and moments are zero, values are undefined.
  Parameters(const ModelSpec& spec, Backend& backend);

  Backend& backend() const { return *backend_; }
  const std::vector<Parameter>& list() const { return list_; }
  /// Throws Error(internal) where there is none of that name.
  const Parameter& named(const std::string& name) const;

  enum class Kind : std::uint8_t { value, gradient, first_moment, second_moment };
  /// A parameter's part of an array.
  Tensor of(Kind kind, const Parameter& parameter) const;
  /// A whole array, f32 [elements]; between parameters it holds zeros.
  Tensor all(Kind kind) const;
  /// Matrices and tables come first in each array: weight decay applies to them alone.
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
