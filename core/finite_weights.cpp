#include "core/finite_weights.h"

#include <algorithm>

#include "kernels/error.h"
#include "kernels/finite.h"

namespace gist {

std::vector<float> finite_values(const HostTensor& found) {
  std::vector<float> values(static_cast<std::size_t>(found.shape.elements()));
  if (found.data == nullptr) return values;
  require_finite(found, 0, found.shape.elements());
  convert_to_f32(found.data, found.dtype, found.shape.elements(), values.data());
  return values;
}

void upload_finite(const HostTensor& found, const Tensor& target, Backend& backend) {
  if (found.data == nullptr) return backend.upload(target, nullptr);
  // A piece that has been looked through is small enough to be in the cache still when it is
  // copied.
  constexpr std::int64_t piece = std::int64_t{1} << 17;
  const std::int64_t elements = found.shape.elements();
  const Tensor flat = target.reshaped({elements});
  const bool as_it_is = found.dtype == target.dtype;
  std::vector<float> values(as_it_is ? 0 : piece);
  std::vector<std::byte> converted(values.size() * size_of(target.dtype));
  for (std::int64_t begin = 0; begin < elements; begin += piece) {
    const std::int64_t end = std::min(begin + piece, elements);
    require_finite(found, begin, end);
    const std::byte* from = found.data + begin * static_cast<std::int64_t>(size_of(found.dtype));
    if (!as_it_is) {
      convert_to_f32(from, found.dtype, end - begin, values.data());
      convert_from_f32(values.data(), end - begin, target.dtype, converted.data());
      from = converted.data();
    }
    backend.upload(flat.rows(begin, end), from);
  }
}

void with_name_of_weight(const WeightSource& source, const std::string& name,
                         const std::function<void()>& load) {
  try {
    load();
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::data) throw;
    fail(ErrorKind::data, "{}: tensor \"{}\": {}", source.description, name, error.what());
  }
}

}  // namespace gist
