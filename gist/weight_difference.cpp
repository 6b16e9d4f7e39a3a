#include "gist/weight_difference.h"

#include <algorithm>
#include <cstring>
#include <span>
#include <utility>

#include "core/finite_weights.h"
#include "formats/files/atomic_directory.h"
#include "formats/files/file_io.h"
#include "formats/files/text.h"
#include "formats/model/model_directory.h"
#include "kernels/error.h"
#include "kernels/finite.h"

namespace gist {
namespace {

constexpr const char* architectures_key = "architectures";

/// A weight of the difference, and its part in the base.
struct Summands {
  std::string name;
  HostTensor difference, base;

  bool has_new_row() const { return base.shape[0] < difference.shape[0]; }
};

/// Writes the sum as f32: of the rows that the base lacks, the difference alone.
void add(const Summands& summands, std::span<std::byte> target) {
  constexpr std::int64_t piece = std::int64_t{1} << 16;
  const std::int64_t in_base = summands.base.shape.elements();
  const std::int64_t elements = summands.difference.shape.elements();
  std::vector<float> sum(piece), base(piece);
  const auto read = [](const HostTensor& tensor, std::int64_t begin, std::int64_t count,
                       std::vector<float>& values) {
    convert_to_f32(tensor.data + begin * static_cast<std::int64_t>(size_of(tensor.dtype)),
                   tensor.dtype, count, values.data());
  };
  for (std::int64_t begin = 0; begin < elements; begin += piece) {
    const std::int64_t count = std::min(piece, elements - begin);
    const std::int64_t shared = std::clamp<std::int64_t>(in_base - begin, 0, count);
    read(summands.difference, begin, count, sum);
    if (shared > 0) read(summands.base, begin, shared, base);
    for (std::int64_t i = 0; i < shared; ++i) {
      sum[static_cast<std::size_t>(i)] += base[static_cast<std::size_t>(i)];
    }
    std::memcpy(target.data() + static_cast<std::size_t>(begin) * sizeof(float), sum.data(),
                static_cast<std::size_t>(count) * sizeof(float));
  }
}

class Recovery {
 public:
  Recovery(const ModelFiles& difference, const ModelFiles& base, const ModelSpec& spec)
      : difference_(under_declared_names(difference.checkpoint.source(), spec)),
        base_(under_declared_names(base.checkpoint.source(), spec)),
        spec_(spec) {}

  /// All tensors, whose values are made when they are read; the Recovery must outlive them.
  std::vector<NamedTensor> tensors(RecoveredModel& recovered) const {
    std::vector<NamedTensor> tensors;
    for (const WeightSpec& weight : spec_.weights) {
      if (!weight.tied_to.empty()) continue;
      const Shape shape = stored_shape(weight.shape, weight.stored_transposed);
      for (int layer = 0; layer < copies_of(weight, spec_); ++layer) {
        const std::string name = weight_name(weight, layer);
        if (summands(name, shape).has_new_row()) recovered.with_new_row.push_back(name);
        done(name);
        tensors.push_back(
            {name, {nullptr, Dtype::f32, shape}, [this, name, shape](std::span<std::byte> target) {
               write(name, shape, target);
             }});
      }
    }
    recovered.tensors = tensors.size();
    return tensors;
  }

 private:
  /// Throws Error(data) where the weights don't fit together.
  Summands summands(const std::string& name, const Shape& shape) const {
    const HostTensor difference = found_weight(difference_, name, shape).tensor;
    Shape of_base = shape;
    const std::optional<HostTensor> found = base_.find(name);
    const bool row_less = found && shape.rank > 0 && shape[0] == spec_.vocabulary &&
                          found->shape.rank == shape.rank && found->shape[0] == shape[0] - 1;
    if (row_less) --of_base.dims[0];
    return {name, difference, found_weight(base_, name, of_base).tensor};
  }

  void write(const std::string& name, const Shape& shape, std::span<std::byte> target) const {
    add(summands(name, shape), target);
    with_name_of_weight(difference_, name, [&] {
      require_finite({target.data(), Dtype::f32, shape}, 0, shape.elements());
    });
    done(name);
  }

  /// Neither's memory is needed now: of weights that are converted to f32 that is a copy.
  void done(const std::string& name) const {
    difference_.done(name);
    base_.done(name);
  }

  WeightSource difference_, base_;
  const ModelSpec& spec_;
};

/// The base's may be without: then its "model_type" says what it is, and the difference's what that
/// is.
void take_architecture(nlohmann::json& config, const nlohmann::json& base) {
  const auto found = base.find(architectures_key);
  if (found == base.end()) {
    config.erase(architectures_key);
  } else {
    config[architectures_key] = *found;
  }
}

}  // namespace

ModelFiles open_difference(const std::string& directory, const ModelFiles& base,
                           const ModelSetup& setup) {
  const FamilyFinder find = family_finder(setup);
  const auto as_base = [&](nlohmann::json config, const std::string& where) {
    take_architecture(config, base.config);
    return find(config, where);
  };
  ModelFiles files(directory, as_base, setup.ignored_tensors);
  take_architecture(files.config, base.config);
  return files;
}

RecoveredModel write_recovered_model(const ModelFiles& difference, const ModelFiles& base,
                                     const ModelSpec& spec, const Gisting& gisting,
                                     const std::filesystem::path& output) {
  if (may_exist(output)) {
    fail(ErrorKind::cannot_create, "{} (--output): it exists; choose another directory",
         output.string());
  }
  RecoveredModel recovered;
  const Recovery recovery(difference, base, spec);
  ModelContent content;
  content.tensors = recovery.tensors(recovered);
  content.config = difference.config;
  content.config["torch_dtype"] = "float32";
  if (difference.settings && gisting.gist_tokens > 0) content.settings = *difference.settings;
  content.settings.condition = gisting.condition;
  content.settings.gist_tokens = gisting.gist_tokens;
  content.settings.prompt_template = gisting.prompt_template;
  content.settings.ignored_tensors = difference.ignored_tensors;
  content.tokenizer = difference.path;
  content.gist_tokens = gisting.gist_tokens > 0 ? gist_ids_of(difference).count : 0;
  content.source = difference.path;
  AtomicDirectory directory(output);
  recovered.left_out = write_model_directory(directory.path(), content);
  directory.commit();
  return recovered;
}

}  // namespace gist
