#include "cli/report/sample_parts.h"

#include "cli/report/numbers.h"
#include "cli/report/word_diff.h"
#include "formats/files/text.h"

namespace gist {
namespace {

constexpr const char* empty_text = "<span class=\"empty\">empty</span>";

Html text_html(const std::string& text) {
  return html("{}", shortened(text, most_sample_characters));
}

Html prompt_part(const char* name, const std::string& text) {
  if (text.empty()) return {};
  return html("<dt>{}</dt><dd dir=\"auto\">{}</dd>", std::string(name), text_html(text));
}

}  // namespace

Html sample_prompt(const std::string& instruction, const std::string& input) {
  const Html parts = prompt_part("Instruction", instruction) + prompt_part("Input", input);
  return parts.empty() ? Html{} : html("<dl class=\"prompt\">{}</dl>\n", parts);
}

Html sample_answer(const SampleAnswerBox& box) {
  return html("<div{}><dt><span class=\"name\">{}</span>{}</dt><dd dir=\"auto\">{}</dd></div>\n",
              box.attributes, box.name,
              box.note.empty() ? Html{} : html("<span>{}</span>", box.note), box.text);
}

Html sample_reference(const std::string& reference) {
  return sample_answer({Html{"Reference"}, "",
                        reference.empty() ? Html{empty_text} : text_html(reference),
                        Html{" class=\"reference-answer\""}});
}

Html sample_text(const std::string& completion, const std::string& reference) {
  if (completion.empty() && reference.empty()) return {empty_text};
  return diff_html(shortened(completion, most_sample_characters),
                   shortened(reference, most_sample_characters));
}

std::string score_in_words(const AnswerScores& scores) {
  return scores.exact ? "exact" : "ROUGE-L " + shown(scores.rouge.rougeL.f, Quantity::percent);
}

Html sample_marks() {
  return html(
      "In answers, <ins>these words</ins> are not in the reference, and <del>these</del> are in "
      "the reference only. Texts end after {} characters.",
      shown(most_sample_characters, Quantity::count));
}

}  // namespace gist
