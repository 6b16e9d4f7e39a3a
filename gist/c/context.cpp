#include "gist/c/context.h"

#include <random>
#include <utility>

using gist::Error;
using gist::ErrorKind;
using gist::PromptGist;

namespace gist::c {

void Turns::take() {
  if (owner_.load() == std::this_thread::get_id()) {
    fail(ErrorKind::usage,
         "a callback called the model or store whose call runs it: it may call gist_cancel only");
  }
  mutex_.lock();
  owner_.store(std::this_thread::get_id());
}

void Turns::give_back() {
  owner_.store({});
  mutex_.unlock();
}

void Cancelling::end_if_requested() const {
  if (requested()) throw Ended(GIST_CANCELLED, "the call was cancelled");
}

namespace {

std::uint64_t number_of(const void* handle) {
  static_assert(sizeof(std::uintptr_t) == sizeof(std::uint64_t));
  return reinterpret_cast<std::uintptr_t>(handle);
}

std::uint64_t first_number() {
  std::random_device random;
  // The lowest bit keeps it from being 0, the highest from running over.
  return ((std::uint64_t{random()} << 31) ^ random()) | 1;
}

}  // namespace
}  // namespace gist::c

gist_context::gist_context(const gist_context_options& options)
    : plugin_path_(gist::c::text_or_empty(options.plugin_path, "plugin_path")),
      log_(options.log),
      user_(options.user),
      next_(gist::c::first_number()) {}

template <typename Handle>
Handle gist_context::add_held(Held held) {
  const std::lock_guard lock(mutex_);
  held_.emplace(next_, std::move(held));
  // NOLINTNEXTLINE(performance-no-int-to-ptr): a handle is a number, which nothing dereferences
  return reinterpret_cast<Handle>(static_cast<std::uintptr_t>(next_++));
}

gist_model gist_context::add(std::shared_ptr<gist::c::OpenModel> model) {
  return add_held<gist_model>(std::move(model));
}

gist_store gist_context::add(std::shared_ptr<gist::c::OpenStore> store) {
  return add_held<gist_store>(std::move(store));
}

gist_activations gist_context::add(std::shared_ptr<const PromptGist> activations) {
  return add_held<gist_activations>(std::move(activations));
}

template <typename Kept>
Kept gist_context::held(const void* handle, const char* name) const {
  gist::c::require(handle, name);
  const std::lock_guard lock(mutex_);
  const auto found = held_.find(gist::c::number_of(handle));
  const Kept* kept = found == held_.end() ? nullptr : std::get_if<Kept>(&found->second);
  if (kept != nullptr) return *kept;
  throw gist::c::Ended(GIST_CLOSED,
                       fmt::format("{}: it was closed, or is none of this context", name));
}

std::shared_ptr<gist::c::OpenModel> gist_context::get(gist_model model) const {
  return held<std::shared_ptr<gist::c::OpenModel>>(model, "model");
}

std::shared_ptr<gist::c::OpenStore> gist_context::get(gist_store store) const {
  return held<std::shared_ptr<gist::c::OpenStore>>(store, "store");
}

std::shared_ptr<const PromptGist> gist_context::get(gist_activations activations) const {
  return held<std::shared_ptr<const PromptGist>>(activations, "activations");
}

void gist_context::remove_held(const void* handle) {
  Held last;  // ends outside the lock: freeing a model takes a while
  const std::lock_guard lock(mutex_);
  const auto found = held_.find(gist::c::number_of(handle));
  if (found == held_.end()) return;
  last = std::move(found->second);
  held_.erase(found);
}

void gist_context::remove(gist_model model) {
  const std::shared_ptr<gist::c::OpenModel> open = get(model);
  const gist::c::Turn turn(open->turns);
  remove_held(model);
}

void gist_context::remove(gist_store store) {
  const std::shared_ptr<gist::c::OpenStore> open = get(store);
  const gist::c::Turn turn(open->turns);
  remove_held(store);
}

void gist_context::remove(gist_activations activations) {
  (void)get(activations);
  remove_held(activations);
}

void gist_context::log(const std::string& line) const {
  if (log_ != nullptr) log_(user_, line.c_str());
}

extern "C" {

gist_status gist_context_open(const gist_context_options* options, gist_context** context,
                              gist_error* error) {
  return gist::c::guarded(error, [&] {
    gist::c::require(context, "context");
    *context = nullptr;
    *context = std::make_unique<gist_context>(gist::c::taken(options, "options", true)).release();
  });
}

void gist_context_close(gist_context** context) {
  if (context == nullptr) return;
  const std::unique_ptr<gist_context> closed(*context);
  *context = nullptr;
}
}
