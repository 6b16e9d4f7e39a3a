// A small family that does what "behaviour" in its configuration says.
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdlib>
#include <limits>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "gist/plugin.hpp"

namespace {

using namespace gist::sdk;

class Misbehaving {
 public:
  static constexpr const char* id = GIST_PLUGIN_NAME;
  static constexpr std::array architectures{"MisbehavingForCausalLM"};

  Misbehaving(const Config& config, Declaration& model) : behaviour_(config.string("behaviour")) {
    if (is("decline")) config.decline("this configuration is another family's");
    if (is("warn")) config.warn("a line\nof two");
    if (is("throw in configure")) throw std::runtime_error("no configuration is good enough");
    if (is("crash in configure")) std::raise(SIGSEGV);
    model.d_model = dim;
    const std::int32_t rows = config.size("vocab_size", 32);
    model.vocabulary = rows;
    model.max_positions = 64;
    const Stack stack = model.causal_stack({1, 2, 1, dim / 2, dim / 2});
    embedding_ = model.table("embedding", rows, dim, normal(1));
    norm_ = model.vector(stack, "{layer}.norm", dim, ones);
    q_ = model.matrix(stack, "{layer}.q", dim, dim, normal(1));
    k_ = model.matrix(stack, "{layer}.k", dim / 2, dim, normal(1));
    v_ = model.matrix(stack, "{layer}.v", dim / 2, dim, normal(1));
    model.head(model.matrix("head", rows, dim, normal(1)));
  }

  Tensor enter(Pass pass, int) const {
    const Tensor hidden = pass.embedding(embedding_);
    from_enter_ = hidden;
    if (is("layer weight in enter")) return rms_norm(hidden, norm_, 1e-5F);
    if (is("positions of a rotated model")) return pass.position_embedding(embedding_);
    if (is("attention in enter")) return attention(hidden, hidden, hidden, {});
    return hidden;
  }

  Tensor layer(Pass pass, int, int, Tensor hidden) const {
    if (is("throw in layer")) throw std::runtime_error("the layer is out of order");
    if (is("throw an int in layer")) throw 42;
    if (is("crash in layer")) std::raise(SIGSEGV);
    if (is("hang in layer")) hang();
    if (is("hang in layer when told") && told()) hang();
    if (is("exit in layer")) std::_Exit(0);
    if (is("orderly exit in layer")) std::exit(0);
    if (is("quick exit in layer")) std::quick_exit(0);
    if (is("wait for children in layer")) wait_for_children();
    if (is("divide by zero in layer")) std::raise(SIGFPE);
    if (is("abort in layer")) std::abort();
    if (is("leave a child in layer") && ::fork() == 0) {
      std::this_thread::sleep_for(std::chrono::minutes(1));
      std::_Exit(0);
    }
    if (is("fail in layer")) return pass.fail("this layer can't be run");
    if (is("no tensor")) return Tensor{};
    if (is("no attention")) return hidden;
    if (is("handle from another callback")) return hidden + from_enter_;
    if (is("handle out of range")) return hidden + Tensor{pass.ops, pass.pass, hidden.handle + 9};
    if (is("return a handle out of range")) return {pass.ops, pass.pass, hidden.handle + 9};
    if (is("weight out of range")) return linear(hidden, Weight{99});
    if (is("matrix as vector")) return rms_norm(hidden, q_, 1e-5F);

    const Tensor x = rms_norm(hidden, norm_, 1e-5F);
    const Tensor k = linear(x, k_);
    if (is("add unequal shapes")) return linear(hidden + k, Weight{99}) + Tensor{};
    if (is("bad eps")) return rms_norm(hidden, norm_, -1);
    if (is("bad offset"))
      return rms_norm(hidden, norm_, 0, std::numeric_limits<float>::quiet_NaN());
    if (is("layer norm of another width")) return layer_norm(k, norm_, Weight{}, 1e-5F);
    if (is("bad factor")) return std::numeric_limits<float>::quiet_NaN() * hidden;
    if (is("columns beyond the last")) return columns(hidden, 5, 4);
    if (is("columns that overlap")) return columns(hidden, 0, 4, 2, 3);
    if (is("too many experts")) return top_k_routing(k, 5, true).weights;
    if (is("no experts")) return top_k_routing(k, 0, true).weights;
    if (is("experts of no routing")) return mixed_rows(hidden, {k});
    const Routing two_of_four = top_k_routing(k, 2, true);
    if (is("experts of rows in no groups")) return mixed_rows(hidden, two_of_four);
    if (is("grouped rows in groups")) {
      return rows_by_expert(rows_by_expert(hidden, two_of_four), two_of_four);
    }
    const Tensor grouped = rows_by_expert(hidden, two_of_four);
    if (is("too few weights of experts")) {
      return expert_linear(grouped, two_of_four, {{q_.index, q_.index}});
    }
    if (is("other weights of experts")) {
      return expert_linear(grouped, two_of_four, {{q_.index, k_.index, v_.index, q_.index}});
    }
    const std::vector<float> inv_freq(is("odd rope") ? 9 : 2, 0.5F);
    const Rope rope{.inv_freq = inv_freq};
    if (is("no scale")) return attention(x, k, k, {.scale = 0});
    const Rope zero_rope{.inv_freq = inv_freq, .scale = 0};
    if (is("no scale of rope")) return attention(x, k, k, {.rope = &zero_rope});
    const Tensor mixed = attention(linear(x, q_), k, linear(x, v_), {.scale = 0.5F, .rope = &rope});
    if (is("attention twice")) return attention(linear(x, q_), k, linear(x, v_), {});
    if (is("wrong width")) return k;
    if (is("remember calls") && ++calls_ % 2 == 0) return hidden + mixed + mixed;
    return hidden + mixed;
  }

  Tensor leave(Pass, int, Tensor hidden) const { return hidden; }

 private:
  static constexpr int dim = 8;

  bool is(const char* behaviour) const { return behaviour_ == behaviour; }
  /// Whether a test has made the file that HANG names.
  static bool told() {
    const char* path = std::getenv("HANG");
    return path != nullptr && ::access(path, F_OK) == 0;
  }
  /// A child for each way to end, which the parent sees.
  static void wait_for_children() {
    for (const int way : {0, 1, 2}) {
      const pid_t child = way == 2 ? ::vfork() : ::fork();
      if (child == 0 && way == 0) std::exit(3);
      if (child == 0) ::_exit(3);
      int status = 0;
      if (::waitpid(child, &status, 0) != child || WEXITSTATUS(status) != 3) std::abort();
    }
  }
  static void hang() { std::this_thread::sleep_for(std::chrono::hours(1)); }

  std::string behaviour_;
  Weight embedding_, norm_, q_, k_, v_;
  mutable Tensor from_enter_;
  mutable int calls_ = 0;
};

}  // namespace

GIST_PLUGIN(Misbehaving);
