#include "gist/loaded_model.h"

#include <algorithm>
#include <utility>

#include "core/adapter.h"
#include "kernels/error.h"
#include "kernels/meta/meta_backend.h"

namespace gist {

namespace {

/// An adapter's gists, where there is one, are computed through it.
void attach_adapter(Model& model, const ModelFiles& files) {
  if (!files.adapter) return;
  model.attach(std::make_unique<Adapter>(model.spec(), files.adapter->spec, files.adapter->source(),
                                         model.backend()));
}

}  // namespace

FamilyFinder family_finder(const ModelSetup& setup) {
  return [&setup](const nlohmann::json& config, const std::string& where) {
    return load_family(plugin_directories(setup.plugins), config, where, setup.family);
  };
}

ModelSetup without_adapter(ModelSetup setup) {
  setup.adapter.clear();
  return setup;
}

ModelFiles open_model(const std::string& directory, const ModelSetup& setup) {
  ModelFiles files(directory, family_finder(setup), setup.ignored_tensors);
  if (!setup.adapter.empty()) files.attach(setup.adapter);
  return files;
}

void check_table(const ModelFiles& files, std::int32_t rows) {
  const Tokenizer& tokenizer = files.tokenizer;
  // Rows that nothing uses may be missing, of a padding token, say: what is used is checked then.
  // An adapter has the gist tokens' rows.
  const std::int32_t needed =
      std::max(tokenizer.pieces(), files.adapter ? 0 : tokenizer.gist_ids().end());
  if (needed <= rows) return;
  fail(ErrorKind::data,
       "{} has {} tokens, but the model's embedding table only {} rows: they don't belong together",
       tokenizer.path().string(), tokenizer.size(), rows);
}

std::unique_ptr<Family> family_of(const ModelFiles& files, const ModelSetup& setup) {
  std::unique_ptr<Family> family = family_finder(setup)(files.config, config_place(files.path));
  check_table(files, family->spec().vocabulary);
  return family;
}

LoadedModel load_model(const ModelFiles& files, std::unique_ptr<Family> family,
                       std::unique_ptr<Backend> backend) {
  Backend& device = *backend;
  LoadedModel loaded{std::move(backend),
                     Model(std::move(family), device, files.checkpoint.source())};
  attach_adapter(loaded.model, files);
  return loaded;
}

PlannedModel plan_model(const ModelFiles& files, std::unique_ptr<Family> family, Dtype dtype) {
  std::unique_ptr<CountingBackend> backend = make_meta_backend(dtype);
  CountingBackend& device = *backend;
  PlannedModel planned{std::move(backend),
                       Model(std::move(family), device, files.checkpoint.source())};
  attach_adapter(planned.model, files);
  return planned;
}

}  // namespace gist
