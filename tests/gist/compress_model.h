// The small gist model of tests/fixtures, loaded as other programs load models: by its plugin.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "gist/compress_store.h"
#include "gist/loaded_model.h"
#include "gist/prompt_source.h"
#include "tests/formats/test_support.h"

namespace gist::testing {

inline ModelSetup cpu_setup() {
  ModelSetup setup;
  setup.plugins.first = {GIST_PLUGINS};
  setup.device = "cpu";
  setup.compute.threads = 1;
  return setup;
}

/// The model's directory and its family, without weights.
struct OpenedModel {
  ModelSetup setup = cpu_setup();
  ModelFiles files = open_model((fixtures / "models/wordtasks-llama-gist").string(), setup);
  ModelSpec spec = family_of(files, setup)->spec();
  CompressionTask task = compression_task(files, spec);
};

struct CompressModel : OpenedModel {
  LoadedModel model =
      load_model(files, family_of(files, setup), open_device(setup.device, setup.compute));

  StoreTask store(const std::filesystem::path& path) const {
    StoreTask made;
    made.path = path;
    made.compression = task;
    return made;
  }
};

inline std::vector<PromptText> some_prompts() {
  return {{"a", "Repeat the words."}, {"b", "Reverse the words."}, {"c", "Give the first word."}};
}

/// The statuses of all prompts that the reader gives.
inline std::vector<StagedRecord::Status> statuses_of(PromptReader& reader) {
  std::vector<StagedRecord::Status> statuses;
  while (const std::optional<Prompt> prompt = reader.next()) {
    statuses.push_back(prompt->record.status);
  }
  return statuses;
}

}  // namespace gist::testing
