// Prompts to gists in memory, without any file.
//
//     #include <gist/compress_prompts.h>
//     #include <gist/compress_store.h>  // compression_task
//
//     gist::ModelSetup setup;
//     const gist::ModelFiles files = gist::open_model("my-gist-model", setup);
//     const gist::LoadedModel model = gist::load_model(
//         files, gist::family_of(files, setup), gist::open_device(setup.device, setup.compute));
//     const gist::CompressionTask task = gist::compression_task(files, model.model.spec());
//     const std::vector<std::string> prompts{"Answer in capitals.", "Count the words."};
//     const std::vector<gist::MadeGist> gists =
//         gist::compress_prompts(files, model, task, prompts);
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/gist_activations.h"
#include "gist/loaded_model.h"
#include "gist/prompt_reader.h"

namespace gist {

/// A gist, and where its first token stood in its prompt.
struct MadeGist {
  GistActivations activations;
  std::int32_t position = 0;
};

/// Compresses prompts, in UTF-8 and as the task's template reads an "instruction", and gives the
/// activations of each, in their order, in f32: the very values that compress stores, before they
/// are rounded to the store's dtype (to_raw). `files` and `model` are one model; it serves one call
/// at a time. The task's shard, `known` and `max_tokens` don't matter: each prompt is compressed.
/// Throws Error(data) naming the first prompt that is empty, is not UTF-8, or has more tokens than
/// the model has positions: "prompts:2: ..." is the second.
std::vector<MadeGist> compress_prompts(const ModelFiles& files, const LoadedModel& model,
                                       const CompressionTask& task,
                                       std::span<const std::string> prompts,
                                       const BatchLimits& limits = {});

}  // namespace gist
