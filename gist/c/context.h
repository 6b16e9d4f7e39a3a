// This file holds what stands behind the handles of the C interface.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <variant>

#include "gist/c/status.h"
#include "gist/gist_model.h"

namespace gist::c {

/// Calls on one handle, one after the other. A callback that calls again on the handle whose call
/// runs it would wait for itself: that is refused.
class Turns {
 public:
  void take();
  void give_back();

 private:
  std::mutex mutex_;
  std::atomic<std::thread::id> owner_{};
};

/// A Turn lets one call at a time run, until the end of the scope.
class Turn {
 public:
  explicit Turn(Turns& turns) : turns_(turns) { turns_.take(); }
  ~Turn() { turns_.give_back(); }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

 private:
  Turns& turns_;
};

struct OpenModel {
  OpenModel(const std::string& directory, const ModelSetup& setup, const DeviceEvents& events,
            std::int32_t gist_tokens)
      : model(directory, setup, events, gist_tokens) {}
  GistModel model;
  Turns turns;
  std::atomic<std::uint64_t> cancels{0};  // how often gist_cancel was called
};

struct OpenStore {
  OpenStore(const std::string& path, const StoreReading& reading) : source(path, reading) {}
  GistSource source;
  Turns turns;
};

/// Tells a call whether it was cancelled since this object was made.
class Cancelling {
 public:
  explicit Cancelling(const OpenModel& model) : model_(model), before_(model.cancels.load()) {}
  bool requested() const { return model_.cancels.load() != before_; }
  /// Throws Ended(GIST_CANCELLED) where it was.
  void end_if_requested() const;

 private:
  const OpenModel& model_;
  std::uint64_t before_;
};

}  // namespace gist::c

/// Handles are numbers that begin anywhere and count up, so that none comes twice, and that look
/// like pointers in C. What they stand for lives as long as a call uses it.
struct gist_context {
 public:
  explicit gist_context(const gist_context_options& options);

  gist_model add(std::shared_ptr<gist::c::OpenModel> model);
  gist_store add(std::shared_ptr<gist::c::OpenStore> store);
  gist_activations add(std::shared_ptr<const gist::PromptGist> activations);

  /// Throw Error(usage) for NULL, Ended(GIST_CLOSED) for what is no such handle of this context.
  std::shared_ptr<gist::c::OpenModel> get(gist_model model) const;
  std::shared_ptr<gist::c::OpenStore> get(gist_store store) const;
  std::shared_ptr<const gist::PromptGist> get(gist_activations activations) const;

  /// Returns the model as `get` does; afterwards there is no such handle.
  void remove(gist_model model);
  void remove(gist_store store);
  void remove(gist_activations activations);

  const std::string& plugin_path() const { return plugin_path_; }
  void log(const std::string& line) const;

 private:
  using Held =
      std::variant<std::shared_ptr<gist::c::OpenModel>, std::shared_ptr<gist::c::OpenStore>,
                   std::shared_ptr<const gist::PromptGist>>;
  template <typename Handle>
  Handle add_held(Held held);
  template <typename Kept>
  Kept held(const void* handle, const char* name) const;
  void remove_held(const void* handle);

  std::string plugin_path_;
  void (*log_)(void* user, const char* line);
  void* user_;
  mutable std::mutex mutex_;
  std::uint64_t next_;
  std::unordered_map<std::uint64_t, Held> held_;
};
