// Opening and describing models.
#include "gist/c/context.h"

using gist::ErrorKind;
using gist::fail;
using gist::c::OpenModel;

namespace gist::c {
namespace {

ModelSetup setup_of(const gist_context& context, const gist_model_options& options) {
  ModelSetup setup;
  if (!context.plugin_path().empty()) setup.plugins.first = {context.plugin_path()};
  setup.family = text_or_empty(options.family, "family");
  if (options.device != nullptr) setup.device = text_of(options.device, "device");
  const std::string dtype = text_or_empty(options.dtype, "dtype");
  if (!dtype.empty() && dtype != "f32" && dtype != "bf16") {
    fail(ErrorKind::usage, "dtype: expected f32 or bf16, found \"{}\"", dtype);
  }
  setup.compute.dtype = dtype == "bf16" ? Dtype::bf16 : Dtype::f32;
  constexpr std::int32_t most_threads = 4096;
  if (options.threads < 0 || options.threads > most_threads) {
    fail(ErrorKind::usage, "threads: expected 0 to {}, found {}", most_threads, options.threads);
  }
  setup.compute.threads = options.threads;
  return setup;
}

DeviceEvents events_of(const gist_context& context) {
  return {
      [&context](const Device& device) {
        context.log(fmt::format("computing on {} ({})", device.name, device.model));
      },
      [&context](const Device& device, const std::string& reason) {
        context.log(fmt::format("not computing on {} ({}): {}", device.name, device.model, reason));
      }};
}

gist_model_facts facts_of(const GistModel& model) {
  gist_model_facts facts{};
  const ModelSpec& spec = model.spec();
  const StackSpec& stack = spec.stacks[0];
  copy_text(facts.family, spec.family);
  copy_text(facts.device, model.model().backend().name());
  if (model.gisting()) {
    copy_text(facts.condition, name_of(model.gisting()->condition));
    facts.gist_tokens = model.gisting()->gist_tokens;
  }
  facts.max_positions = spec.max_positions;
  facts.layers = stack.layers;
  facts.key_heads = stack.kv_heads;
  facts.key_width = stack.key_dim;
  facts.value_width = stack.value_dim;
  facts.hidden_width = spec.d_model;
  facts.weight_bytes = model.model().weight_bytes();
  return facts;
}

}  // namespace
}  // namespace gist::c

extern "C" {

gist_status gist_model_open(gist_context* context, const gist_model_options* options,
                            gist_model* model, gist_error* error) {
  return gist::c::guarded(error, [&] {
    gist::c::require(model, "model");
    *model = nullptr;
    gist::c::require(context, "context");
    const gist_model_options given = gist::c::taken(options, "options");
    const std::string directory = gist::c::text_of(given.directory, "directory");
    *model =
        context->add(std::make_shared<OpenModel>(directory, gist::c::setup_of(*context, given),
                                                 gist::c::events_of(*context), given.gist_tokens));
  });
}

gist_status gist_model_close(gist_context* context, gist_model model, gist_error* error) {
  return gist::c::guarded(error, [&] {
    gist::c::require(context, "context");
    context->remove(model);
  });
}

gist_status gist_model_describe(gist_context* context, gist_model model, gist_model_facts* facts,
                                gist_error* error) {
  return gist::c::guarded(error, [&] {
    gist::c::require(context, "context");
    gist::c::give(facts, gist::c::facts_of(context->get(model)->model), "facts");
  });
}

gist_status gist_cancel(gist_context* context, gist_model model, gist_error* error) {
  return gist::c::guarded(error, [&] {
    gist::c::require(context, "context");
    ++context->get(model)->cancels;
  });
}
}
