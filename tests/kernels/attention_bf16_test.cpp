// Attention on a backend that computes products in bf16.
#include <gtest/gtest.h>

#include "tests/kernels/biased_attention.h"

namespace gist::test {
namespace {

struct Bf16Case {
  std::int64_t heads, kv_heads, key_dim, value_dim;
  bool biased = false;
  float soft_cap = 0, dropout = 0;
};

void PrintTo(const Bf16Case& c, std::ostream* out) {
  *out << c.heads << " heads on " << c.kv_heads << ", dims " << c.key_dim << " and " << c.value_dim
       << (c.biased ? ", biased" : "") << ", cap " << c.soft_cap << ", dropout " << c.dropout;
}

class AttentionInBf16 : public testing::TestWithParam<Bf16Case> {
 protected:
  void SetUp() override {
    if (backend_ == nullptr) GTEST_SKIP() << "this processor can't multiply in bf16";
  }

  BiasedAttention problem() const {
    const Bf16Case c = GetParam();
    BiasedAttention a;
    a.p.heads = c.heads;
    a.p.kv_heads = c.kv_heads;
    a.p.key_dim = c.key_dim;
    a.p.value_dim = c.value_dim;
    a.p.spec.soft_cap = c.soft_cap;
    a.p.spec.dropout = {c.dropout, 11, 12};
    a.bidirectional = true;
    add_row(a.p, 140, 0, 140, [](std::int32_t j) { return Interval{j, j < 70 ? 72 : forever}; });
    add_row(a.p, 1, 40, 41, causal);
    add_row(a.p, 5, 20, 25, causal);
    add_row(a.p, 0, 0, 4, causal);                                        // no query
    add_row(a.p, 3, 0, 0, causal);                                        // no key
    add_row(a.p, 2, 0, 90, [](std::int32_t) { return Interval{1, 2}; });  // the first sees none
    add_row(a.p, 40, 60, 33, [](std::int32_t j) { return Interval{j + 50, j + 70}; });
    Random random(1);
    fill(a, random);
    if (!c.biased) a.table.clear();
    a.p.slot[130] = a.p.slot[7];  // listed twice
    return a;
  }

  std::unique_ptr<Backend> backend_ = backend_under_test(Dtype::bf16);
};

TEST_P(AttentionInBf16, IsAsExactAsThePlainComputation) {
  const BiasedAttention a = problem();
  DeviceArrays arrays(*backend_);
  const AttentionTensors t = upload(a.p, arrays);
  const Tensor log_sum_exp = arrays.empty({a.p.queries, a.p.heads});
  backend_->run(attention_of(t, upload_spec(a, arrays), log_sum_exp));

  const Floats y = arrays.floats(t.y), dy(y.size());
  BiasedAttentionResult expected = biased_attention_oracle(a, dy);
  const BiasedAttentionResult plain = plain_bf16_attention(a, dy);
  expect_as_exact_as_plain(y, expected.y, plain.y);
  if (backend_->name() == "cuda") {
    EXPECT_GT(relative_l2(y, expected.y), 1e-4) << "this is f32";
  }

  Floats found = arrays.floats(log_sum_exp);
  Floats of_plain(plain.log_sum_exp.begin(), plain.log_sum_exp.end());
  Doubles again = expected.log_sum_exp;
  take_infinities(expected.log_sum_exp, found);
  take_infinities(again, of_plain);
  expect_as_exact_as_plain(found, again, doubles(of_plain));
}

TEST_P(AttentionInBf16, HasGradientsAsExactAsThePlainComputation) {
  const BiasedAttention a = problem();
  Random random(2);
  const Floats dy = random.floats(a.p.queries * a.p.heads * a.p.value_dim);
  const BiasedAttentionFound found = attend_and_back(*backend_, a, dy);
  const BiasedAttentionResult expected = biased_attention_oracle(a, dy);
  const BiasedAttentionResult plain = plain_bf16_attention(a, dy);
  expect_as_exact_as_plain(found.dq, expected.dq, plain.dq);
  expect_as_exact_as_plain(found.dkeys, expected.dkeys, plain.dkeys);
  expect_as_exact_as_plain(found.dvalues, expected.dvalues, plain.dvalues);
  if (backend_->name() == "cuda") {
    EXPECT_GT(relative_l2(found.dq, expected.dq), 1e-4) << "this is f32";
  }
  if (!a.table.empty()) expect_as_exact_as_plain(found.dtable, expected.dtable, plain.dtable);
}

INSTANTIATE_TEST_SUITE_P(
    Cases, AttentionInBf16,
    testing::Values(Bf16Case{2, 1, 32, 32}, Bf16Case{2, 2, 64, 64}, Bf16Case{3, 1, 96, 96},
                    Bf16Case{2, 1, 128, 128}, Bf16Case{1, 1, 192, 192}, Bf16Case{1, 1, 256, 256},
                    Bf16Case{1, 1, 192, 128}, Bf16Case{3, 1, 13, 21}, Bf16Case{1, 1, 1, 1},
                    Bf16Case{20, 1, 4, 4}, Bf16Case{4, 2, 40, 17, true},
                    Bf16Case{2, 1, 64, 64, true, 3}, Bf16Case{3, 1, 16, 24, false, 0, 0.3F},
                    Bf16Case{2, 1, 64, 48, true, 5, 0.1F},
                    Bf16Case{1, 1, 160, 256, true, 0, 0.2F}));

}  // namespace
}  // namespace gist::test
