// The tests of evaluations share this: the small gist model of tests/fixtures as systems, and
// records for it.
#pragma once

#include <memory>
#include <string>

#include "gist/evaluation_run.h"
#include "tests/formats/test_support.h"

namespace gist::testing {

inline const std::string word_model = (fixtures / "models/wordtasks-llama-gist").string();

inline constexpr const char* word_records =
    R"({"instruction": "Repeat the word.", "input": "apple", "output": "apple", "task": "a"}
{"instruction": "Repeat the words.", "input": "lake stone", "output": "lake stone", "task": "b"}
{"instruction": "Repeat the word.", "input": "swan", "output": "swan", "task": "a"}
)";

/// The model on one thread of the CPU, as its gist.json says it was trained.
inline SystemSetup word_setup() {
  SystemSetup setup;
  setup.model.plugins.first = {GIST_PLUGINS};
  setup.model.device = "cpu";
  setup.model.compute.threads = 1;
  return setup;
}

/// The same model, which reads whole prompts.
inline SystemSetup full_prompt_setup() {
  SystemSetup setup = word_setup();
  const GistSettings settings = *open_model(word_model, setup.model).settings;
  setup.contexts.gisting = {Condition::pos, settings.gist_tokens, settings.prompt_template};
  return setup;
}

/// The model under pos and, after it, as trained.
inline Systems two_systems() {
  Systems systems;
  systems.push_back(open_system(word_model, full_prompt_setup()));
  systems.push_back(open_system(word_model, word_setup()));
  give_names(systems);
  return systems;
}

}  // namespace gist::testing
