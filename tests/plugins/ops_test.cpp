// These tests check that what a family does wrong with the operations is found, named and never
// followed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/batch.h"
#include "core/forward.h"
#include "kernels/meta/meta_backend.h"
#include "plugins/host/plugin_family.h"
#include "tests/plugins/sandbox.h"

namespace gist {
namespace {

using testing::AllOf;
using testing::HasSubstr;

/// A pass of two tokens through the test family with this behaviour.
void run(const std::string& behaviour) {
  static const LoadedPlugin plugin = load_plugin(std::string(GIST_MODULES) + "/misbehaving.so");
  std::unique_ptr<Family> family =
      configure_family(plugin, plugin.families[0], {{"behaviour", behaviour}},
                       "MisbehavingForCausalLM", "config.json");
  const std::unique_ptr<CountingBackend> backend = make_meta_backend();
  const WeightSource source = shapes_only(family->spec(), Dtype::f32);
  const Model model(std::move(family), *backend, source);
  Batch batch;
  add_sequence(batch, {{1, 2}, {}}, Condition::pos, StackKind::causal);
  Scratch scratch(*backend);
  Pass pass(model, batch, {}, scratch);
  forward(pass);
}

std::string failure(const std::string& behaviour) {
  return error_of(ErrorKind::unavailable, [&] { run(behaviour); });
}

TEST(FamilyOps, RunASoundFamily) {
  EXPECT_EQ(failure("sound"), "no error");
}

TEST(FamilyOps, KeepTheFirstFailureWithOpShapesAndLayer) {
  EXPECT_THAT(failure("add unequal shapes"),
              AllOf(HasSubstr("family 'misbehaving' of "), HasSubstr("misbehaving.so, layer 0"),
                    HasSubstr("add of [2, 8], [2, 4]: shapes [2, 8] and [2, 4] differ")));
}

TEST(FamilyOps, RefuseForeignHandles) {
  EXPECT_THAT(failure("handle from another callback"), HasSubstr("no tensor of this callback"));
  EXPECT_THAT(failure("handle out of range"), HasSubstr("no tensor of this callback"));
  EXPECT_THAT(failure("return a handle out of range"), HasSubstr("returned a bad handle"));
  EXPECT_THAT(failure("no tensor"), HasSubstr("returned no tensor, though no operation failed"));
}

TEST(FamilyOps, RefuseUnfitWeights) {
  EXPECT_THAT(failure("weight out of range"), HasSubstr("weight 99 is not one of the 6 declared"));
  EXPECT_THAT(failure("matrix as vector"), HasSubstr("\"{layer}.q\" is not declared as a vector"));
  EXPECT_THAT(failure("layer weight in enter"),
              AllOf(HasSubstr(", enter: rms_norm of [2, 8]"), HasSubstr("belongs to layers")));
}

TEST(FamilyOps, RefuseUnfitNumbers) {
  EXPECT_THAT(failure("bad eps"), HasSubstr("eps is -1"));
  EXPECT_THAT(failure("bad offset"), HasSubstr("weight_offset is nan"));
  EXPECT_THAT(failure("bad factor"), HasSubstr("scale of [2, 8]: the factor is nan"));
  EXPECT_THAT(failure("no scale"), HasSubstr("softmax_scale is 0, so it was never set"));
  EXPECT_THAT(failure("no scale of rope"), HasSubstr("rope_scale is 0, so it was never set"));
  EXPECT_THAT(failure("odd rope"), HasSubstr("18 dimensions are rotated"));
}

TEST(FamilyOps, RefuseWhatDoesNotFit) {
  EXPECT_THAT(failure("layer norm of another width"),
              HasSubstr("layer_norm of [2, 4]: x [2, 4] doesn't fit weight \"{layer}.norm\" [8]"));
  EXPECT_THAT(failure("columns beyond the last"),
              HasSubstr("columns of [2, 8]: 1 blocks of 4 columns from 5 on"));
  EXPECT_THAT(failure("columns that overlap"),
              HasSubstr("2 blocks of 4 columns from 0 on, 3 apart"));
  EXPECT_THAT(failure("positions of a rotated model"),
              HasSubstr("position_embedding: table \"embedding\" [32, 8]: expected absolute"));
}

TEST(FamilyOps, RefuseExpertsThatDontFit) {
  EXPECT_THAT(failure("too many experts"),
              HasSubstr("top_k_routing of [2, 4]: 5 experts a row, expected 1 to 4"));
  EXPECT_THAT(failure("no experts"), HasSubstr("0 experts a row, expected 1 to 4"));
  EXPECT_THAT(failure("experts of no routing"),
              HasSubstr("the routing is a tensor [2, 4] that top_k_routing didn't return"));
  EXPECT_THAT(failure("experts of rows in no groups"),
              HasSubstr("mixed_rows of [2, 8], [2, 2]: 2 rows, expected 4"));
  EXPECT_THAT(failure("grouped rows in groups"),
              HasSubstr("rows_by_expert of [4, 8], [2, 2]: 4 rows, expected 2"));
  EXPECT_THAT(failure("too few weights of experts"), HasSubstr("2 weights for 4 experts"));
  EXPECT_THAT(failure("other weights of experts"),
              HasSubstr("weights \"{layer}.q\" [8, 8] and \"{layer}.k\" [4, 8] of experts differ"));
}

TEST(FamilyOps, DemandAttentionOnceInEachLayer) {
  EXPECT_THAT(failure("attention twice"), HasSubstr("called twice in a layer"));
  EXPECT_THAT(failure("no attention"), HasSubstr("it never called attention"));
  EXPECT_THAT(failure("attention in enter"), HasSubstr("called outside a layer"));
}

TEST(FamilyOps, DemandHiddenStatesAsResult) {
  EXPECT_THAT(failure("wrong width"), HasSubstr("returned a tensor [2, 4], expected [2, 8]"));
}

TEST(FamilyOps, ReportWhatTheFamilySays) {
  EXPECT_THAT(failure("fail in layer"), HasSubstr("this layer can't be run"));
  EXPECT_THAT(failure("throw in layer"), HasSubstr("the layer is out of order"));
  EXPECT_THAT(failure("throw an int in layer"), HasSubstr("an exception of unknown type"));
}

TEST(FamilyOps, RejectWithWhatConfigureThrows) {
  EXPECT_EQ(error_of(ErrorKind::data, [] { run("throw in configure"); }),
            "config.json: no configuration is good enough");
}

}  // namespace
}  // namespace gist
