// A model small enough to train in tests, and records that no file holds.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "gist/loaded_model.h"
#include "gist/train_data.h"
#include "gist/train_output.h"
#include "gist/train_session.h"
#include "gist/train_start.h"
#include "tests/formats/test_support.h"

namespace gist::testing {

inline std::string record_text(const std::string& instruction, const std::string& input,
                               const std::string& output) {
  return nlohmann::json{{"instruction", instruction}, {"input", input}, {"output", output}}.dump();
}

/// Gives these texts one after the other.
inline RecordTexts texts_from(std::vector<std::string> texts) {
  return
      [texts = std::move(texts), given = std::size_t{0}]() mutable -> std::optional<std::string> {
        if (given == texts.size()) return std::nullopt;
        return texts[given++];
      };
}

inline std::vector<std::string> training_records() {
  return {record_text("Leave out all animals.", "spoon, monkey, plum", "spoon plum"),
          record_text("Leave out all places.", "pepper, village, lion", "pepper lion"),
          record_text("Leave out all animals.", "hammer, lion", "hammer"),
          record_text("Leave out all places.", "island, butter, plum", "butter plum"),
          record_text("Leave out all animals.", "monkey, butter", "butter")};
}

/// A LLaMA of two layers, without weights yet, to be trained under gist with one token.
struct SmallTraining {
  /// The configuration and what the run writes stand in the directory.
  explicit SmallTraining(const std::filesystem::path& directory)
      : base(base_from_config(with_config(directory), fixtures / "models/wordtasks-llama-gist")) {
    setup.plugins.first = {GIST_PLUGINS};
    setup.device = "cpu";
    setup.compute.threads = 1;
    fit_vocabulary(base, 1);
    spec = family()->spec();
    task.output = directory / "run";
    task.gisting = {Condition::gist, 1, default_template(spec, base.tokenizer)};
    task.steps = 6;
    task.batch_records = 2;
    task.learning_rate = 1e-2;
    task.save_every = 0;
  }

  std::unique_ptr<Family> family() const { return family_finder(setup)(base.config, base.name); }

  TrainData data(const std::vector<std::string>& texts, const TrainDataEvents& events = {},
                 std::size_t kept_texts = 0) const {
    return read_train_data(source_of(texts_from(texts), "queue", task.fields), base, spec, task,
                           kept_texts, events)
        .value();
  }

  /// Runs the task, or what is left of it.
  TrainResult train(const TrainEvents& events = {}, const TrainData* held_out = nullptr) const {
    const TrainData records = data(training_records());
    const std::unique_ptr<Backend> backend = open_device(setup.device, setup.compute);
    RunState state = first_state(task, base, records, setup.compute.dtype);
    Parameters parameters(spec, *backend);
    if (!resume(state, parameters, task, task.total_steps(records.records.size()), events.run)) {
      fill(parameters, base, spec, task.seed);
    }
    const Model model(family(), parameters);
    TrainSession session({task, base, records, held_out}, model, parameters, std::move(state),
                         events);
    return session.run();
  }

  ModelSetup setup;
  BaseModel base;
  ModelSpec spec;
  TrainTask task;

 private:
  static std::filesystem::path with_config(const std::filesystem::path& directory) {
    std::filesystem::path path = directory / "config.json";
    write_file(path, R"({"architectures": ["LlamaForCausalLM"], "model_type": "llama",
      "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2,
      "vocab_size": 901, "max_position_embeddings": 64, "rms_norm_eps": 1e-6, "bos_token_id": 1,
      "eos_token_id": 2, "tie_word_embeddings": false, "initializer_range": 0.08})");
    return path;
  }
};

}  // namespace gist::testing
