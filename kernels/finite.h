// Values that are infinite or no number. They spread through a model's products and end as answers
// that mean nothing: so inputs, weights and what leaves a device are looked through.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "kernels/tensor.h"

namespace gist {

/// The first value that is infinite or no number, among values of `dtype`; nothing among integers.
std::optional<std::size_t> first_not_finite(std::span<const std::byte> values, Dtype dtype);
std::optional<std::size_t> first_not_finite(std::span<const float> values);

/// Throws Error(data) that says which element of a weight, given by its number, is not finite.
[[noreturn]] void refuse_value(const HostTensor& weight, std::int64_t element);
/// Does so where one of the elements [begin, end) is not.
void require_finite(const HostTensor& weight, std::int64_t begin, std::int64_t end);

}  // namespace gist
