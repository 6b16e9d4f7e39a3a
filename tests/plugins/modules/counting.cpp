// Declares as many positions as models were configured with this library: 2, 4, 6...
#include "counting.h"

#include <array>

#include "gist/plugin.hpp"

namespace {

using namespace gist::sdk;

class Counting {
 public:
  static constexpr const char* id = GIST_PLUGIN_NAME;
  static constexpr std::array architectures{"MisbehavingForCausalLM"};

  Counting(const Config&, Declaration& model) {
    model.d_model = 8;
    model.vocabulary = 32;
    model.max_positions = Counter<int>::next();
    const Stack stack = model.causal_stack({1, 1, 1, 8, 8});
    embedding_ = model.table("embedding", 32, 8, normal(1));
    projection_ = model.matrix(stack, "{layer}.projection", 8, 8, normal(1));
    model.head(model.tied_matrix("head", embedding_));
  }
  Tensor enter(Pass pass, int) const { return pass.embedding(embedding_); }
  Tensor layer(Pass, int, int, Tensor hidden) const {
    const Tensor x = linear(hidden, projection_);
    return attention(x, x, x, {});
  }
  Tensor leave(Pass, int, Tensor hidden) const { return hidden; }

 private:
  Weight embedding_, projection_;
};

}  // namespace

GIST_PLUGIN(Counting);
