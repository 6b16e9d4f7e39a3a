// Compresses instructions to gists in memory, and answers an input behind each.
//
//     answer_in_cpp MODEL PLUGINS INPUT INSTRUCTION ...
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include <gist/gist_model.h>

int main(int argc, char** argv) {
  if (argc < 5) return 64;
  try {
    gist::ModelSetup setup;
    setup.device = "cpu";
    setup.plugins.first = {argv[2]};
    gist::GistModel model(argv[1], setup);
    const std::vector<std::string> instructions(argv + 4, argv + argc);
    const std::vector<gist::PromptGist> gists = model.compress(instructions);

    std::vector<std::string> answers(gists.size());
    std::size_t next = 0;
    gist::TextEvents events;
    events.next = [&]() -> std::optional<gist::TextRequest> {
      if (next == gists.size()) return std::nullopt;
      const std::size_t i = next++;
      return model.behind(gists[i], argv[3], i);
    };
    events.done = [&](std::uint64_t request, gist::TextCompletion completion) {
      answers[request] = std::move(completion.text);
    };
    model.answer(model.generation_options(), {}, events);
    for (const std::string& answer : answers) std::puts(answer.c_str());
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "answer_in_cpp: %s\n", error.what());
    return 1;
  }
}
