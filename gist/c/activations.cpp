// Gists in memory: compressing prompts to them, and reading their values.
#include <vector>

#include "gist/c/context.h"

namespace gist::c {
namespace {

gist_activations_view view_of(const PromptGist& gist) {
  const GistActivations& values = *gist.activations;
  gist_activations_view view{};
  view.tokens = values.tokens;
  view.position = gist.position;
  view.key = values.key.data();
  view.value = values.value.data();
  view.hidden = values.hidden.empty() ? nullptr : values.hidden.data();
  view.key_count = values.key.size();
  view.value_count = values.value.size();
  view.hidden_count = values.hidden.size();
  return view;
}

}  // namespace
}  // namespace gist::c

extern "C" {

gist_status gist_compress(gist_context* context, gist_model model, const char* const* instructions,
                          size_t count, gist_activations* activations, gist_error* error) {
  return gist::c::guarded(error, [&] {
    gist::c::require(activations, "activations");
    for (size_t i = 0; i < count; ++i) activations[i] = nullptr;
    gist::c::require(context, "context");
    gist::c::require(instructions, "instructions");
    const std::shared_ptr<gist::c::OpenModel> open = context->get(model);
    std::vector<std::string> texts;
    for (size_t i = 0; i < count; ++i) {
      texts.push_back(
          gist::c::text_of(instructions[i], fmt::format("instructions[{}]", i).c_str()));
    }
    const gist::c::Cancelling cancelling(*open);
    const gist::c::Turn turn(open->turns);
    cancelling.end_if_requested();
    const std::vector<gist::PromptGist> gists = open->model.compress(texts);
    for (size_t i = 0; i < count; ++i) {
      activations[i] = context->add(std::make_shared<const gist::PromptGist>(gists[i]));
    }
  });
}

gist_status gist_activations_read(gist_context* context, gist_activations activations,
                                  gist_activations_view* view, gist_error* error) {
  return gist::c::guarded(error, [&] {
    gist::c::require(context, "context");
    gist::c::give(view, gist::c::view_of(*context->get(activations)), "view");
  });
}

gist_status gist_activations_close(gist_context* context, gist_activations activations,
                                   gist_error* error) {
  return gist::c::guarded(error, [&] {
    gist::c::require(context, "context");
    context->remove(activations);
  });
}
}
