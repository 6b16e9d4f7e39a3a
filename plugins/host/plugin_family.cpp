#include "plugins/host/plugin_family.h"

#include <optional>
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

std::string description_of(const LoadedPlugin& plugin, const LoadedPlugin::Family& family) {
  return fmt::format("family '{}' of {}", family.id, plugin.library.string());
}

/// A model that `configure` made, and what it declares. Without one the family has declined.
struct Configured {
  std::optional<OwnedModel> model;
  gist_model declared{};
};

Configured configured(const LoadedPlugin::Family& family, const std::string& description,
                      const gist_config& handle, const std::string& where,
                      std::string* declined_reason) {
  Configured result;
  result.declared.size = sizeof(gist_model);
  const gist_status status = [&] {
    const RunningCallback running(description.c_str(), "configure");
    return family.callbacks->configure(&config_host(), &handle, &result.declared);
  }();
  if (status == GIST_FAILED || status == GIST_DECLINED) {
    const std::string reason = handle.rejected.value_or("");
    if (status == GIST_DECLINED && declined_reason != nullptr) {
      *declined_reason = reason.empty() ? "it declines without a reason" : reason;
      return result;
    }
    fail(ErrorKind::data, "{}: {}", where,
         reason.empty() ? description + " rejects it without a reason" : reason);
  }
  if (status != GIST_OK) {
    fail(ErrorKind::unavailable, "{}: configure returned status {}, expected {} or {}", description,
         status, static_cast<int>(GIST_OK), static_cast<int>(GIST_FAILED));
  }
  result.model.emplace(*family.callbacks, result.declared.self);
  if (handle.rejected) {
    fail(ErrorKind::unavailable, "{}: configure both rejected the configuration ({}) and took it",
         description, *handle.rejected);
  }
  return result;
}

}  // namespace

std::unique_ptr<Family> configure_family(const LoadedPlugin& plugin,
                                         const LoadedPlugin::Family& family,
                                         const nlohmann::json& config,
                                         const std::string& architecture, const std::string& where,
                                         std::string* declined_reason,
                                         std::vector<std::string> warnings) {
  const std::string description = description_of(plugin, family);
  const gist_config handle(config);
  Configured made = configured(family, description, handle, where, declined_reason);
  if (!made.model) return nullptr;
  try {
    ModelSpec spec = checked_declaration(made.declared);
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
    return std::make_unique<PluginFamily>(std::move(*made.model), std::move(spec), description);
  } catch (const Error& error) {
    fail(ErrorKind::unavailable, "{}: for {} it declares nonsense: {}", description, where,
         error.what());
  }
}

KeysRead keys_read(const LoadedPlugin& plugin, const LoadedPlugin::Family& family,
                   const nlohmann::json& config) {
  const std::string description = description_of(plugin, family);
  const gist_config handle(config);
  const Configured made = configured(family, description, handle, "the configuration", nullptr);
  return {handle.asked, unread_keys(handle)};
}

}  // namespace gist
