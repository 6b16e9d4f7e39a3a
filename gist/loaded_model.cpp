#include "gist/loaded_model.h"

#include <algorithm>
#include <utility>

#include "kernels/error.h"
#include "kernels/meta/meta_backend.h"

namespace gist {

FamilyFinder family_finder(const ModelSetup& setup) {
  return [&setup](const nlohmann::json& config, const std::string& where) {
    return load_family(plugin_directories(setup.plugins), config, where, setup.family);
  };
}

ModelFiles open_model(const std::string& directory, const ModelSetup& setup) {
  return {directory, family_finder(setup), setup.ignored_tensors};
}

void check_table(const Tokenizer& tokenizer, std::int32_t rows) {
  // Rows that nothing uses may be missing, of a padding token, say: what is used is checked then.
  const std::int32_t needed = std::max(tokenizer.pieces(), tokenizer.gist_ids().end());
  if (needed <= rows) return;
  fail(ErrorKind::data,
       "{} has {} tokens, but the model's embedding table only {} rows: they don't belong together",
       tokenizer.path().string(), tokenizer.size(), rows);
}

std::unique_ptr<Family> family_of(const ModelFiles& files, const ModelSetup& setup) {
  std::unique_ptr<Family> family = family_finder(setup)(files.config, config_place(files.path));
  check_table(files.tokenizer, family->spec().vocabulary);
  return family;
}

LoadedModel load_model(const ModelFiles& files, std::unique_ptr<Family> family,
                       std::unique_ptr<Backend> backend) {
  Backend& device = *backend;
  return {std::move(backend), Model(std::move(family), device, files.checkpoint.source())};
}

PlannedModel plan_model(const ModelFiles& files, std::unique_ptr<Family> family, Dtype dtype) {
  std::unique_ptr<CountingBackend> backend = make_meta_backend(dtype);
  CountingBackend& device = *backend;
  return {std::move(backend), Model(std::move(family), device, files.checkpoint.source())};
}

}  // namespace gist
