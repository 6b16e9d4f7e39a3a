#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "plugins/host/loader.h"
#include "plugins/host/model_declaration.h"
#include "tests/plugins/sandbox.h"

namespace gist {
namespace {

using testing::HasSubstr;

/// A sound declaration: a tied model with one weight a layer.
struct Declared {
  gist_stack stack = {sizeof(gist_stack), GIST_STACK_CAUSAL, 2, 4, 2, 8, 8, GIST_NONE, 0};
  gist_weight weights[4] = {
      weight("table", GIST_NONE, GIST_USE_TABLE, {32, 16}),
      weight("layers.{layer}.q", 0, GIST_USE_MATRIX, {32, 16}),
      weight("norm", GIST_NONE, GIST_USE_VECTOR, {16}),
      weight("head", GIST_NONE, GIST_USE_MATRIX, {32, 16}),
  };
  gist_model model{};

  Declared() {
    model.size = sizeof(gist_model);
    model.d_model = 16;
    model.vocabulary = 32;
    model.max_positions = 64;
    model.key_position = GIST_KEYS_ROTATED;
    model.n_stacks = 1;
    model.stacks = &stack;
    model.n_weights = 4;
    model.weights = weights;
    model.head_weight = 3;
    model.head_bias = GIST_NONE;
    model.head_scale = 1;
    weights[3].tied_to = "table";
  }
  Declared(const Declared&) = delete;
  Declared& operator=(const Declared&) = delete;

  static gist_weight weight(const char* name, std::int32_t stack, std::uint32_t use,
                            std::initializer_list<std::int64_t> shape) {
    gist_weight result{};
    result.size = sizeof(gist_weight);
    result.stack = stack;
    result.name = name;
    result.use = use;
    for (const std::int64_t dim : shape) result.shape[result.rank++] = dim;
    return result;
  }
};

template <typename Spoil>
std::string spoiled(const Spoil& spoil) {
  Declared declared;
  spoil(declared);
  return error_of(ErrorKind::unavailable, [&] { checked_declaration(declared.model); });
}

TEST(Declaration, IsCopied) {
  const Declared declared;
  const ModelSpec spec = checked_declaration(declared.model);
  EXPECT_EQ(spec.d_model, 16);
  EXPECT_EQ(spec.stacks.at(0).kv_heads, 2);
  EXPECT_EQ(spec.weights.at(1).stack, 0);
  EXPECT_EQ(spec.weights.at(1).name, "layers.{layer}.q");
  EXPECT_EQ(spec.weights.at(2).use, WeightUse::vector);
  EXPECT_EQ(spec.weights.at(3).tied_to, "table");
  EXPECT_EQ(spec.head.weight, 3);
  EXPECT_EQ(spec.head.bias, -1);
}

/// A struct as a later minor version has it, with a field that this gist doesn't know.
template <typename T>
struct Later {
  T known;
  std::uint64_t unknown;
};

TEST(Declaration, WalksStructsOfALaterVersion) {
  Declared declared;
  Later<gist_stack> stack{declared.stack, ~std::uint64_t{0}};
  stack.known.size = sizeof stack;
  declared.model.stacks = &stack.known;
  Later<gist_weight> weights[4];
  for (std::size_t i = 0; i < 4; ++i) {
    weights[i] = {declared.weights[i], ~std::uint64_t{0}};
    weights[i].known.size = sizeof weights[i];
  }
  declared.model.weights = &weights[0].known;
  const ModelSpec spec = checked_declaration(declared.model);
  EXPECT_EQ(spec.stacks.at(0).heads, 4);
  EXPECT_EQ(spec.weights.at(3).tied_to, "table");
}

TEST(Declaration, TakesWhatAnEarlierVersionLacksAsAbsent) {
  struct Grown {
    std::uint32_t size;
    std::int32_t old_field, new_field;
  };
  const Grown given{8, 3, 77};
  EXPECT_EQ(copied_struct<Grown>(&given, 8).old_field, 3);
  EXPECT_EQ(copied_struct<Grown>(&given, 8).new_field, 0);
  EXPECT_EQ(copied_struct<Grown>(&given, 4000).new_field, 77);
}

TEST(Declaration, RefusesImpossibleNumbers) {
  EXPECT_THAT(spoiled([](Declared& d) { d.model.d_model = 0; }), HasSubstr("d_model is 0"));
  EXPECT_THAT(spoiled([](Declared& d) { d.model.vocabulary = -5; }), HasSubstr("vocabulary is -5"));
  EXPECT_THAT(spoiled([](Declared& d) { d.model.max_positions = -1; }), HasSubstr("max_positions"));
  EXPECT_THAT(spoiled([](Declared& d) { d.model.key_position = 7; }), HasSubstr("is 7"));
  EXPECT_THAT(spoiled([](Declared& d) { d.model.n_stacks = 3; }), HasSubstr("3 stacks"));
  EXPECT_THAT(spoiled([](Declared& d) { d.model.stacks = nullptr; }), HasSubstr("0 stacks"));
  EXPECT_THAT(spoiled([](Declared& d) { d.model.n_weights = 4'000'000'000; }),
              HasSubstr("4000000000 weights"));
  EXPECT_THAT(spoiled([](Declared& d) { d.model.weights = nullptr; }), HasSubstr("0 weights"));
  EXPECT_THAT(spoiled([](Declared& d) { d.model.head_scale = NAN; }), HasSubstr("head_scale"));
  EXPECT_THAT(spoiled([](Declared& d) { d.model.head_scale = 0; }),
              HasSubstr("head_scale is 0, so it was never set"));
  EXPECT_THAT(spoiled([](Declared& d) { d.model.head_soft_cap = -1; }), HasSubstr("soft_cap"));
}

TEST(Declaration, RefusesImpossibleStacks) {
  EXPECT_THAT(spoiled([](Declared& d) { d.stack.size = 8; }), HasSubstr("stack 0 says it is 8"));
  EXPECT_THAT(spoiled([](Declared& d) { d.stack.kind = 3; }), HasSubstr("kind 3"));
  EXPECT_THAT(spoiled([](Declared& d) { d.stack.layers = 0; }), HasSubstr("layers is 0"));
  EXPECT_THAT(spoiled([](Declared& d) { d.stack.layers = 1 << 30; }), HasSubstr("layers is"));
  EXPECT_THAT(spoiled([](Declared& d) { d.stack.kv_heads = 3; }), HasSubstr("a divisor of heads"));
  EXPECT_THAT(spoiled([](Declared& d) { d.stack.kv_heads = 0; }), HasSubstr("kv_heads is 0"));
  EXPECT_THAT(spoiled([](Declared& d) { d.stack.key_dim = -8; }), HasSubstr("key_dim is -8"));
}

TEST(Declaration, RefusesImpossibleWeights) {
  EXPECT_THAT(spoiled([](Declared& d) { d.weights[2].size = 1; }), HasSubstr("weight 2 says"));
  EXPECT_THAT(spoiled([](Declared& d) { d.weights[0].name = nullptr; }), HasSubstr("is null"));
  EXPECT_THAT(spoiled([](Declared& d) { d.weights[0].name = "a\nb"; }), HasSubstr("control"));
  EXPECT_THAT(spoiled([](Declared& d) { d.weights[2].name = "head"; }), HasSubstr("two weights"));
  EXPECT_THAT(spoiled([](Declared& d) { d.weights[0].use = 9; }), HasSubstr("use 9"));
  EXPECT_THAT(spoiled([](Declared& d) { d.weights[0].rank = 4; }), HasSubstr("rank 4"));
  EXPECT_THAT(spoiled([](Declared& d) { d.weights[2].rank = 2; }), HasSubstr("rank 2"));
  EXPECT_THAT(spoiled([](Declared& d) { d.weights[0].shape[1] = 0; }),
              HasSubstr("dimension 1 is 0"));
  EXPECT_THAT(spoiled([](Declared& d) { d.weights[0].shape[1] = INT64_MAX; }),
              HasSubstr("dimension 1 is"));
  EXPECT_THAT(spoiled([](Declared& d) { d.weights[0].init = 5; }), HasSubstr("init 5"));
  EXPECT_THAT(spoiled([](Declared& d) { d.weights[0].init_value = NAN; }), HasSubstr("init 0"));
}

TEST(Declaration, DemandsTheLayerMarkExactlyInLayersWeights) {
  EXPECT_THAT(spoiled([](Declared& d) { d.weights[1].name = "q"; }), HasSubstr("must stand once"));
  EXPECT_THAT(spoiled([](Declared& d) { d.weights[1].name = "{layer}.{layer}"; }),
              HasSubstr("must stand once"));
  EXPECT_THAT(spoiled([](Declared& d) { d.weights[2].name = "{layer}.norm"; }),
              HasSubstr("names no stack"));
  EXPECT_THAT(spoiled([](Declared& d) { d.weights[1].stack = 1; }), HasSubstr("stack 1"));
  EXPECT_THAT(spoiled([](Declared& d) { d.weights[1].stack = -2; }), HasSubstr("stack -2"));
}

TEST(Declaration, DemandsTheLayerMarkInOtherNamesLikewise) {
  static const char* const plain[] = {"q"};
  static const char* const marked[] = {"h.{layer}.q"};
  const auto other = [](gist_weight& weight, const char* const* names) {
    weight.other_names = names;
    weight.n_other_names = 1;
  };
  EXPECT_EQ(spoiled([&](Declared& d) { other(d.weights[1], marked); }), "no error");
  EXPECT_THAT(spoiled([&](Declared& d) { other(d.weights[1], plain); }),
              HasSubstr("should have {layer} where the name has"));
  EXPECT_THAT(spoiled([&](Declared& d) { other(d.weights[0], marked); }),
              HasSubstr("should have {layer} where the name has"));
}

TEST(Declaration, TakesTransposedMatricesOfLayersAlone) {
  EXPECT_EQ(spoiled([](Declared& d) { d.weights[1].stored_transposed = 1; }), "no error");
  EXPECT_THAT(spoiled([](Declared& d) { d.weights[2].stored_transposed = 1; }),
              HasSubstr("\"norm\" is stored transposed, but is no matrix"));
  EXPECT_THAT(spoiled([](Declared& d) { d.weights[3].stored_transposed = 1; }),
              HasSubstr("\"head\" is stored transposed, but is tied"));
  EXPECT_THAT(spoiled([](Declared& d) {
                d.weights[3].tied_to = nullptr;
                d.weights[3].stored_transposed = 1;
              }),
              HasSubstr("and that is stored as it is"));
}

TEST(Declaration, DemandsABoundForAbsolutePositions) {
  EXPECT_EQ(spoiled([](Declared& d) { d.model.key_position = GIST_KEYS_ABSOLUTE; }), "no error");
  EXPECT_THAT(spoiled([](Declared& d) {
                d.model.key_position = GIST_KEYS_ABSOLUTE;
                d.model.max_positions = 0;
              }),
              HasSubstr("absolute positions with max_positions 0"));
}

TEST(Declaration, RefusesImpossibleTies) {
  EXPECT_THAT(spoiled([](Declared& d) { d.weights[3].tied_to = "none"; }),
              HasSubstr("not declared"));
  EXPECT_THAT(spoiled([](Declared& d) { d.weights[3].tied_to = "head"; }), HasSubstr("not tied"));
  EXPECT_THAT(spoiled([](Declared& d) { d.weights[3].tied_to = "layers.{layer}.q"; }),
              HasSubstr("shared by all"));
  EXPECT_THAT(spoiled([](Declared& d) { d.weights[3].tied_to = "norm"; }),
              HasSubstr("is tied to \"norm\" of shape [16]"));
}

TEST(Declaration, RefusesImpossibleHeads) {
  EXPECT_THAT(spoiled([](Declared& d) { d.model.head_weight = 4; }), HasSubstr("is weight 4"));
  EXPECT_THAT(spoiled([](Declared& d) { d.model.head_weight = -1; }), HasSubstr("is weight -1"));
  EXPECT_THAT(spoiled([](Declared& d) { d.model.head_weight = 1; }), HasSubstr("no layer owns"));
  EXPECT_THAT(spoiled([](Declared& d) { d.model.head_weight = 0; }), HasSubstr("a matrix"));
  EXPECT_THAT(spoiled([](Declared& d) { d.model.head_bias = 2; }), HasSubstr("a vector"));
}

}  // namespace
}  // namespace gist
