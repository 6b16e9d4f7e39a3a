// An adapter's directory, in the layout of PEFT (https://huggingface.co/docs/peft/developer_guides/checkpoint):
// adapter_config.json and adapter_model.safetensors, beside gist.json and the tokenizer's files with
// the gist tokens. PEFT knows no adapter that acts on gist tokens alone: it would act on all.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/adapter.h"
#include "formats/model/checkpoint.h"
#include "formats/model/model_directory.h"

namespace gist {

/// Whether a directory has an adapter's configuration.
bool has_adapter(const std::filesystem::path& directory);

/// An adapter's directory, opened; nothing is loaded yet.
struct AdapterFiles {
  std::string path;
  AdapterSpec spec;
  std::string base_sha256;  // model_sha256 of the model that it was trained for
  Checkpoint checkpoint;    // adapter_model.safetensors

  /// The tensors by the names of core/adapter.h. The files must outlive it.
  WeightSource source() const;

  /// Throws Error(no_input) where it is no such directory, Error(data) where a file is damaged, or
  /// the adapter is of a kind that gist doesn't run: the first key that says so.
  explicit AdapterFiles(const std::filesystem::path& directory);
};

/// AdapterContent is what an adapter's directory is made of.
struct AdapterContent {
  AdapterSpec spec;
  std::string base_path;  // for people, and for PEFT
  std::string base_sha256;
  bool encoder_decoder = false;
  std::vector<NamedTensor> tensors;  // by the names of core/adapter.h
  GistSettings settings;             // gist.json
  std::filesystem::path tokenizer;   // as write_tokenizer takes it
};

/// Writes one into a directory that exists. The answer is write_tokenizer's.
[[nodiscard]] std::vector<std::string> write_adapter_directory(
    const std::filesystem::path& directory, const AdapterContent& content);

}  // namespace gist
