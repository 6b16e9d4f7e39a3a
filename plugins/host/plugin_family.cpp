#include "plugins/host/plugin_family.h"

#include <string_view>
#include <utility>

#include "formats/files/text.h"
#include "kernels/error.h"
#include "plugins/host/config_host.h"
#include "plugins/host/model_declaration.h"
#include "plugins/host/op_table.h"
#include "plugins/host/running_callback.h"

namespace gist {
namespace {

/// A model of the plugin's, destroyed by the plugin.
class OwnedModel {
 public:
  OwnedModel(const gist_family& callbacks, void* self) : callbacks_(&callbacks), self_(self) {}
  OwnedModel(OwnedModel&& other) noexcept
      : callbacks_(std::exchange(other.callbacks_, nullptr)), self_(other.self_) {}
  OwnedModel(const OwnedModel&) = delete;
  OwnedModel& operator=(const OwnedModel&) = delete;
  OwnedModel& operator=(OwnedModel&&) = delete;
  ~OwnedModel() {
    if (callbacks_ == nullptr) return;
    const RunningCallback running(callbacks_->id, "destroy");
    callbacks_->destroy(self_);
  }

  const gist_family& callbacks() const { return *callbacks_; }
  void* self() const { return self_; }

 private:
  const gist_family* callbacks_;
  void* self_;
};

class PluginFamily : public Family {
 public:
  PluginFamily(OwnedModel model, ModelSpec spec, std::string description)
      : model_(std::move(model)), spec_(std::move(spec)), description_(std::move(description)) {}

  const ModelSpec& spec() const override { return spec_; }

  Tensor enter(Pass& pass, int stack) override {
    return run(pass, "enter", false, [&] {
      return model_.callbacks().enter(model_.self(), &op_table(), &running_, stack);
    });
  }

  Tensor layer(Pass& pass, int stack, int layer, const Tensor& hidden) override {
    return run(pass, "layer", true, [&] {
      return model_.callbacks().layer(model_.self(), &op_table(), &running_, stack, layer,
                                      running_.add(hidden));
    });
  }

  Tensor leave(Pass& pass, int stack, const Tensor& hidden) override {
    return run(pass, "leave", false, [&] {
      return model_.callbacks().leave(model_.self(), &op_table(), &running_, stack,
                                      running_.add(hidden));
    });
  }

 private:
  template <typename Callback>
  Tensor run(Pass& pass, const char* name, bool in_layer, const Callback& callback) {
    running_.begin(pass, in_layer);
    const gist_tensor result = [&] {
      const RunningCallback running(description_.c_str(), name, in_layer ? pass.layer() : -1);
      return callback();
    }();
    running_.pass = nullptr;
    if (running_.failure) {
      const gist_pass::Failure failure = *std::exchange(running_.failure, std::nullopt);
      throw Error(failure.kind, where(name, pass) + ": " + failure.message);
    }
    if (result == 0) {
      fail(ErrorKind::unavailable, "{}: it returned no tensor, though no operation failed",
           where(name, pass));
    }
    const Tensor tensor = returned(result, name, pass);
    const Shape expected{pass.tokens(), spec_.d_model};
    if (!(tensor.shape == expected)) {
      fail(ErrorKind::unavailable, "{}: it returned a tensor {}, expected {}", where(name, pass),
           to_string(tensor.shape), to_string(expected));
    }
    if (in_layer && !running_.attended) {
      fail(ErrorKind::unavailable, "{}: it never called attention, which every layer does once",
           where(name, pass));
    }
    if (in_layer && pass.stack().reads_encoder && !running_.attended_cross) {
      fail(ErrorKind::unavailable,
           "{}: it never called attention to the stack that it reads, which every layer does once",
           where(name, pass));
    }
    return tensor;
  }

  Tensor returned(gist_tensor result, std::string_view callback, const Pass& pass) const {
    try {
      return running_.tensor(result);
    } catch (const Error& error) {
      fail(ErrorKind::unavailable, "{}: it returned a bad handle: {}", where(callback, pass),
           error.what());
    }
  }

  std::string where(std::string_view callback, const Pass& pass) const {
    if (callback == "layer") return fmt::format("{}, layer {}", description_, pass.layer());
    return fmt::format("{}, {}", description_, callback);
  }

  OwnedModel model_;
  ModelSpec spec_;
  std::string description_;
  gist_pass running_;
};

}  // namespace

std::unique_ptr<Family> configure_family(const LoadedPlugin& plugin,
                                         const LoadedPlugin::Family& family,
                                         const nlohmann::json& config,
                                         const std::string& architecture, const std::string& where,
                                         std::string* declined_reason,
                                         std::vector<std::string> warnings) {
  const std::string description =
      fmt::format("family '{}' of {}", family.id, plugin.library.string());
  const gist_config handle(config);
  gist_model declared{};
  declared.size = sizeof(gist_model);
  const gist_status status = [&] {
    const RunningCallback running(description.c_str(), "configure");
    return family.callbacks->configure(&config_host(), &handle, &declared);
  }();
  if (status == GIST_FAILED || status == GIST_DECLINED) {
    const std::string reason = handle.rejected.value_or("");
    if (status == GIST_DECLINED && declined_reason != nullptr) {
      *declined_reason = reason.empty() ? "it declines without a reason" : reason;
      return nullptr;
    }
    fail(ErrorKind::data, "{}: {}", where,
         reason.empty() ? description + " rejects it without a reason" : reason);
  }
  if (status != GIST_OK) {
    fail(ErrorKind::unavailable, "{}: configure returned status {}, expected {} or {}", description,
         status, static_cast<int>(GIST_OK), static_cast<int>(GIST_FAILED));
  }
  OwnedModel model(*family.callbacks, declared.self);
  if (handle.rejected) {
    fail(ErrorKind::unavailable, "{}: configure both rejected the configuration ({}) and took it",
         description, *handle.rejected);
  }
  try {
    ModelSpec spec = checked_declaration(declared);
    spec.family = family.id;
    spec.architecture = architecture;
    spec.warnings = std::move(warnings);
    for (const std::string& warning : handle.warnings) {
      spec.warnings.push_back(fmt::format("{}: {}", where, printable(warning)));
    }
    if (const std::vector<std::string> unread = unread_keys(handle); !unread.empty()) {
      spec.warnings.push_back(fmt::format(
          "{}: family '{}' doesn't read {}: if that changes what the model computes, its "
          "answers differ from the model's own",
          where, family.id, first_few(unread)));
    }
    return std::make_unique<PluginFamily>(std::move(model), std::move(spec), description);
  } catch (const Error& error) {
    fail(ErrorKind::unavailable, "{}: for {} it declares nonsense: {}", description, where,
         error.what());
  }
}

}  // namespace gist
