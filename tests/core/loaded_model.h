// Models for tests: those of the fixtures, and ones with random weights.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/model.h"
#include "kernels/cpu/cpu_backend.h"
#include "tests/core/llama_family.h"
#include "tests/core/test_backend.h"

namespace gist {

/// A model and the backend that it stands on.
struct LoadedModel {
  std::unique_ptr<Backend> backend;
  std::unique_ptr<Model> model;
  LlamaShape shape;
  std::int32_t eos = -1;
};

/// Returns where the fixtures' model of this name stands.
std::filesystem::path directory_of(const std::string& model);
/// Returns the sizes of a LLaMA.
LlamaShape shape_of(const std::string& model);
/// The family that serves the model, as a plugin.
std::unique_ptr<Family> plugin_family(const std::string& model);
LoadedModel load_model(const std::string& model, const CpuOptions& options = {});

/// Every weight in f32, by name.
using Weights = std::map<std::string, std::vector<float>>;
Weights weights_of(const std::string& model);
/// Norms near 1, the rest normal with a deviation of 0.3: deep enough that every token matters.
Weights random_weights(const ModelSpec& spec, std::uint32_t seed);
/// Draws weights with the deviations of the family's initial values; norms are near 1.
Weights initial_weights(const ModelSpec& spec, std::uint32_t seed);
/// `weights` must outlive the source. Shapes are the declared ones.
WeightSource source_of(const ModelSpec& spec, const Weights& weights);

/// Small models with 50 tokens that the plugins serve, one or more a family: a family more is a row
/// more.
std::vector<std::string> small_families();
std::unique_ptr<Family> small_family(const std::string& name);

/// 2 layers, 4 heads on 2 key/value heads, 32 wide, vocabulary 50, 64 positions.
LlamaShape small_shape();
LoadedModel random_model(const LlamaShape& shape, std::uint32_t seed = 1);
/// One of small_families(), with initial weights.
LoadedModel small_model(const std::string& family,
                        std::unique_ptr<Backend> backend = test_backend());

}  // namespace gist
