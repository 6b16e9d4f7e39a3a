// A mixture of experts: which experts rows choose, products with their weights, and mixing, against
// what their definitions say of one row after the other.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "tests/kernels/device_arrays.h"
#include "tests/kernels/oracle.h"

namespace gist::test {
namespace {

struct RoutingCase {
  std::int64_t rows, experts, k;
};
// A token that is decoded, one expert a row, all of them, several warps' lanes and threads' runs, more
// experts than rows and than a launch takes.
constexpr RoutingCase routing_cases[] = {{1, 8, 2},    {5, 4, 1},   {7, 3, 3},
                                         {300, 40, 3}, {3, 130, 2}, {70, 1, 1}};

struct Chosen {
  ExpertRouting routing;
  Tensor weights;
};

class Experts : public testing::Test {
 protected:
  Chosen choose(const RoutingCase& c, const Floats& logits, bool normalised = true) {
    Chosen chosen;
    chosen.routing.experts = arrays_.empty(Dtype::i32, {c.rows, c.k});
    chosen.routing.places = arrays_.empty(Dtype::i32, {c.rows, c.k});
    chosen.routing.rows = arrays_.empty(Dtype::i32, {c.rows * c.k});
    chosen.routing.ends = arrays_.empty(Dtype::i32, {c.experts});
    chosen.weights = arrays_.empty({c.rows, c.k});
    backend_->run(ops::ChooseExperts{.logits = arrays_.of({c.rows, c.experts}, logits),
                                     .normalised = normalised,
                                     .routing = chosen.routing,
                                     .weights = chosen.weights});
    return chosen;
  }

  std::unique_ptr<Backend> backend_ = backend_under_test();
  DeviceArrays arrays_{*backend_};
  Random random_{1};
};

/// A row's experts, in the order of falling logits, then rising numbers.
Integers experts_of_row(const Floats& logits, std::int64_t row, const RoutingCase& c) {
  Integers order(static_cast<std::size_t>(c.experts));
  std::iota(order.begin(), order.end(), 0);
  const float* own = logits.data() + row * c.experts;
  std::stable_sort(order.begin(), order.end(),
                   [&](std::int32_t a, std::int32_t b) { return own[a] > own[b]; });
  order.resize(static_cast<std::size_t>(c.k));
  return order;
}

Integers all_experts(const Floats& logits, const RoutingCase& c) {
  Integers all;
  for (std::int64_t i = 0; i < c.rows; ++i) {
    const Integers own = experts_of_row(logits, i, c);
    all.insert(all.end(), own.begin(), own.end());
  }
  return all;
}

/// What the chosen experts count.
Doubles weights_oracle(const Doubles& logits, const Integers& chosen, const RoutingCase& c,
                       bool normalised) {
  Doubles weights;
  for (std::int64_t i = 0; i < c.rows; ++i) {
    const double* own = logits.data() + i * c.experts;
    double total = 0, of_chosen = 0;
    for (std::int64_t e = 0; e < c.experts; ++e) total += std::exp(own[e]);
    const std::int32_t* experts = chosen.data() + i * c.k;
    for (std::int64_t j = 0; j < c.k; ++j) of_chosen += std::exp(own[experts[j]]);
    for (std::int64_t j = 0; j < c.k; ++j) {
      weights.push_back(std::exp(own[experts[j]]) / (normalised ? of_chosen : total));
    }
  }
  return weights;
}

TEST_F(Experts, AreTheLikeliestOfARow) {
  for (const RoutingCase& c : routing_cases) {
    Floats logits = random_.floats(c.rows * c.experts, 2);
    for (float& each : logits) each = std::round(4 * each) / 4;  // so that some are equal
    const Integers expected = all_experts(logits, c);
    for (const bool normalised : {true, false}) {
      const Chosen chosen = choose(c, logits, normalised);
      EXPECT_EQ(arrays_.integers(chosen.routing.experts), expected) << c.experts;
      EXPECT_LT(relative_error(arrays_.floats(chosen.weights),
                               weights_oracle(doubles(logits), expected, c, normalised)),
                1e-6)
          << c.experts;
    }
  }
}

TEST_F(Experts, HaveTheirRowsTogetherInOrder) {
  for (const RoutingCase& c : routing_cases) {
    const Floats logits = random_.floats(c.rows * c.experts);
    const ExpertRouting routing = choose(c, logits).routing;
    const Integers experts = all_experts(logits, c);
    Integers rows, ends, places(experts.size());
    for (std::int32_t e = 0; e < c.experts; ++e) {
      for (std::size_t i = 0; i < experts.size(); ++i) {
        if (experts[i] != e) continue;
        places[i] = static_cast<std::int32_t>(rows.size());
        rows.push_back(static_cast<std::int32_t>(i / static_cast<std::size_t>(c.k)));
      }
      ends.push_back(static_cast<std::int32_t>(rows.size()));
    }
    EXPECT_EQ(arrays_.integers(routing.rows), rows) << c.experts;
    EXPECT_EQ(arrays_.integers(routing.places), places) << c.experts;
    EXPECT_EQ(arrays_.integers(routing.ends), ends) << c.experts;
  }
}

TEST_F(Experts, OfALogitThatIsNoNumberCountNoNumber) {
  const RoutingCase c{3, 3, 2};
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinity = std::numeric_limits<float>::infinity();
  const Chosen chosen = choose(c, {1, 2, nan, infinity, 0, 1, 3, 1, 2});
  EXPECT_EQ(arrays_.integers(chosen.routing.ends).back(), 6);
  const Floats weights = arrays_.floats(chosen.weights);
  for (std::size_t i = 0; i < weights.size(); ++i) EXPECT_EQ(std::isnan(weights[i]), i < 4) << i;
}

TEST_F(Experts, GiveTheGradientOfTheirWeightsToLogits) {
  for (const RoutingCase& c : routing_cases) {
    const Floats logits = random_.floats(c.rows * c.experts),
                 dweights = random_.floats(c.rows * c.k);
    const Integers experts = all_experts(logits, c);
    for (const bool normalised : {true, false}) {
      const Chosen chosen = choose(c, logits, normalised);
      const Tensor dlogits = arrays_.filled({c.rows, c.experts}, 99);
      backend_->run(ops::ChooseExpertsBackward{.logits = arrays_.of({c.rows, c.experts}, logits),
                                               .normalised = normalised,
                                               .experts = chosen.routing.experts,
                                               .weights = chosen.weights,
                                               .dweights = arrays_.of({c.rows, c.k}, dweights),
                                               .dlogits = dlogits});
      if (c.rows > 100) continue;  // differences of so many take too long
      const Doubles expected = numerical_gradient(logits, dweights, [&](const Doubles& at) {
        return weights_oracle(at, experts, c, normalised);
      });
      const Floats found = arrays_.floats(dlogits);
      double error = 0;
      for (std::size_t i = 0; i < found.size(); ++i) {
        error = std::max(error, std::abs(found[i] - expected[i]));
      }
      EXPECT_LT(error, 1e-5) << c.experts << ", " << c.k;  // of one expert they are zero
    }
  }
}

struct ProductCase {
  Integers ends;  // of the experts' rows
  std::int64_t n, k;
};
// Experts with no row, the first and the last among them, tiles that are whole and not, one row.
const ProductCase product_cases[] = {{{0, 1}, 3, 5},
                                     {{0, 40, 40, 45, 45}, 70, 33},
                                     {{32, 33, 97}, 32, 64},
                                     {{2, 2, 3}, 1, 1},
                                     {{0, 0}, 4, 4}};

/// [first, end) of each expert.
template <typename Each>
void for_experts_of(const ProductCase& c, const Each& each) {
  std::int32_t begin = 0;
  for (std::size_t e = 0; e < c.ends.size(); ++e) {
    each(e, begin, c.ends[e]);
    begin = c.ends[e];
  }
}

Floats rows_between(const Floats& x, std::int64_t width, std::int64_t begin, std::int64_t end) {
  return {x.begin() + begin * width, x.begin() + end * width};
}

TEST_F(Experts, MultiplyTheirRowsByTheirWeights) {
  for (const Dtype dtype : {Dtype::f32, Dtype::bf16}) {
    const auto backend = backend_under_test(dtype);
    if (backend == nullptr) continue;
    DeviceArrays arrays(*backend);
    for (const ProductCase& c : product_cases) {
      const std::int64_t m = c.ends.back();
      const Floats x = random_.floats(m * c.k);
      std::vector<Floats> values;
      std::vector<std::unique_ptr<Matrix>> packed, plain;
      std::vector<const Matrix*> of_packed, of_plain;
      for (std::size_t e = 0; e < c.ends.size(); ++e) {
        const Floats& own = values.emplace_back(random_.floats(c.n * c.k));
        packed.push_back(backend->pack(host_tensor({c.n, c.k}, own)));
        plain.push_back(backend->plain(arrays.of({c.n, c.k}, own)));
        of_packed.push_back(packed.back().get());
        of_plain.push_back(plain.back().get());
      }
      Doubles expected, in_bf16;
      for_experts_of(c, [&](std::size_t e, std::int64_t begin, std::int64_t end) {
        const Floats own = rows_between(x, c.k, begin, end);
        const Doubles y = gemm_oracle(own, values[e], {}, end - begin, c.n, c.k);
        const Floats rounded = plain_bf16_gemm(own, values[e], {}, end - begin, c.n, c.k);
        expected.insert(expected.end(), y.begin(), y.end());
        in_bf16.insert(in_bf16.end(), rounded.begin(), rounded.end());
      });
      for (const auto& weights : {of_packed, of_plain}) {
        const Tensor y = arrays.filled({m, c.n}, 99);
        backend->run(
            ops::ExpertGemm{.x = arrays.of({m, c.k}, x),
                            .ends = arrays.of({static_cast<std::int64_t>(c.ends.size())}, c.ends),
                            .w = weights,
                            .y = y});
        EXPECT_LE(relative_l2(arrays.floats(y), dtype == Dtype::f32 ? expected : in_bf16), 2e-6)
            << c.ends.size() << " experts, " << name_of(dtype);
      }
    }
  }
}

TEST_F(Experts, GiveTheGradientsOfTheirProducts) {
  for (const ProductCase& c : product_cases) {
    const std::int64_t m = c.ends.back();
    const Floats x = random_.floats(m * c.k), dy = random_.floats(m * c.n);
    std::vector<Floats> values, before;
    std::vector<Tensor> w, dw;
    for (std::size_t e = 0; e < c.ends.size(); ++e) {
      values.push_back(random_.floats(c.n * c.k));
      before.push_back(random_.floats(c.n * c.k));
      w.push_back(arrays_.of({c.n, c.k}, values.back()));
      dw.push_back(arrays_.of({c.n, c.k}, before.back()));
    }
    const Tensor ends = arrays_.of({static_cast<std::int64_t>(c.ends.size())}, c.ends);
    const Tensor out = arrays_.of({m, c.n}, dy), dx = arrays_.filled({m, c.k}, 99);
    backend_->run(ops::ExpertGemmInputGradient{.dy = out, .ends = ends, .w = w, .dx = dx});
    const Floats once = arrays_.floats(dx);
    backend_->run(ops::ExpertGemmInputGradient{
        .dy = out, .ends = ends, .w = w, .accumulate = true, .dx = dx});
    const Floats twice = arrays_.floats(dx);
    backend_->run(ops::ExpertGemmWeightGradient{
        .dy = out, .x = arrays_.of({m, c.k}, x), .ends = ends, .dw = dw});
    for_experts_of(c, [&](std::size_t e, std::int64_t begin, std::int64_t end) {
      const std::int64_t rows = end - begin;
      const Floats own_dy = rows_between(dy, c.n, begin, end);
      const Doubles by_input =
          gemm_oracle(own_dy, transposed(values[e], c.n, c.k), {}, rows, c.k, c.n);
      EXPECT_LT(relative_l2(rows_between(once, c.k, begin, end), by_input), gradient_tolerance);
      EXPECT_LT(relative_l2(difference(rows_between(twice, c.k, begin, end),
                                       rows_between(once, c.k, begin, end)),
                            by_input),
                gradient_tolerance);
      const Floats found = arrays_.floats(dw[e]);
      if (rows == 0) {
        EXPECT_EQ(found, before[e]) << "an expert without rows";
        return;
      }
      const Doubles by_weight =
          gemm_oracle(transposed(own_dy, rows, c.n),
                      transposed(rows_between(x, c.k, begin, end), rows, c.k), {}, c.n, c.k, rows);
      EXPECT_LT(relative_l2(difference(found, before[e]), by_weight), gradient_tolerance);
    });
  }
}

TEST_F(Experts, RefuseEndsThatDontRiseToTheirRows) {
  const auto w = backend_->plain(arrays_.of({1, 1}, Floats{1}));
  const std::vector<const Matrix*> weights = {w.get(), w.get()};
  EXPECT_THROW(
      {
        backend_->run(ops::ExpertGemm{.x = arrays_.of({2, 1}, Floats{1, 2}),
                                      .ends = arrays_.of({2}, Integers{1, 3}),
                                      .w = weights,
                                      .y = arrays_.empty({2, 1})});
        backend_->synchronize();
      },
      Error);
}

Doubles mixed_oracle(const Doubles& x, const Integers& places, const Doubles& weights,
                     std::int64_t k, std::int64_t d) {
  Doubles y(places.size() / static_cast<std::size_t>(k) * static_cast<std::size_t>(d));
  for (std::size_t i = 0; i < places.size(); ++i) {
    for (std::int64_t c = 0; c < d; ++c) {
      y[i / static_cast<std::size_t>(k) * static_cast<std::size_t>(d) +
        static_cast<std::size_t>(c)] += weights[i] * x[static_cast<std::size_t>(places[i] * d + c)];
    }
  }
  return y;
}

TEST_F(Experts, MixTheirRows) {
  for (const RoutingCase& c : {RoutingCase{1, 1, 1}, RoutingCase{9, 5, 3}}) {
    const std::int64_t copies = c.rows * c.k, d = 37;
    const Integers places =
        arrays_.integers(choose(c, random_.floats(c.rows * c.experts)).routing.places);
    const Floats x = random_.floats(copies * d), weights = random_.floats(copies);
    const Floats dy = random_.floats(c.rows * d);
    const Tensor at = arrays_.of({c.rows, c.k}, places), rows = arrays_.of({copies, d}, x);
    const Tensor y = arrays_.filled({c.rows, d}, 99), by = arrays_.of({c.rows, c.k}, weights);
    backend_->run(ops::MixRows{.x = rows, .places = at, .weights = by, .y = y});
    EXPECT_LT(
        relative_l2(arrays_.floats(y), mixed_oracle(doubles(x), places, doubles(weights), c.k, d)),
        1e-6);
    backend_->run(ops::MixRows{.x = rows, .places = at, .y = y});
    EXPECT_LT(relative_l2(arrays_.floats(y),
                          mixed_oracle(doubles(x), places, Doubles(weights.size(), 1.0), c.k, d)),
              1e-6);
    const Tensor dx = arrays_.filled({copies, d}, 99), dweights = arrays_.filled({c.rows, c.k}, 99);
    backend_->run(ops::MixRowsBackward{.x = rows,
                                       .places = at,
                                       .weights = by,
                                       .dy = arrays_.of({c.rows, d}, dy),
                                       .dx = dx,
                                       .dweights = dweights});
    const auto by_rows = numerical_gradient(x, dy, [&](const Doubles& each) {
      return mixed_oracle(each, places, doubles(weights), c.k, d);
    });
    const auto by_weights = numerical_gradient(weights, dy, [&](const Doubles& each) {
      return mixed_oracle(doubles(x), places, each, c.k, d);
    });
    EXPECT_LT(relative_l2(arrays_.floats(dx), by_rows), gradient_tolerance);
    EXPECT_LT(relative_l2(arrays_.floats(dweights), by_weights), gradient_tolerance);
  }
}

TEST_F(Experts, RefusePlacesOutsideTheRows) {
  EXPECT_THROW(
      {
        backend_->run(ops::MixRows{.x = arrays_.of({1, 2}, Floats{1, 2}),
                                   .places = arrays_.of({1, 1}, Integers{1}),
                                   .y = arrays_.empty({1, 2})});
        backend_->synchronize();
      },
      Error);
}

}  // namespace
}  // namespace gist::test
