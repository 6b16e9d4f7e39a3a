// Weights on their way from a source to a device: each value must be a finite number.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "core/model.h"

namespace gist {

/// A weight as f32; zeros where there is no data. Throws Error(data) where a value isn't finite.
std::vector<float> finite_values(const HostTensor& found);

/// Copies a weight to a tensor of its shape, whose dtype is the weight's, or a float dtype to which it
/// is converted. Throws likewise.
void upload_finite(const HostTensor& found, const Tensor& target, Backend& backend);

/// Calls `load`, whose Error(data) about the tensor's values gets the names of source and tensor.
void with_name_of_weight(const WeightSource& source, const std::string& name,
                         const std::function<void()>& load);

}  // namespace gist
