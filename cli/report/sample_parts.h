// Every page with samples makes them of these parts: a record's texts, and answers beside its
// reference.
#pragma once

#include <string>

#include "cli/report/html.h"
#include "gist/evaluation.h"

namespace gist {

/// Shows what was asked. A text that is empty is left out; nothing where both are.
Html sample_prompt(const std::string& instruction, const std::string& input);

/// An answer among others: <div> with its name, what is said of it, and `text`, which may be empty.
struct SampleAnswerBox {
  Html name;
  std::string note;  // at the other end of the name's line; "" for none
  Html text;
  Html attributes = {};  // of the <div>, each after a space
};
Html sample_answer(const SampleAnswerBox& box);
/// The first of the answers: what the record has.
Html sample_reference(const std::string& reference);
/// An answer with its differences from the reference marked.
Html sample_text(const std::string& completion, const std::string& reference);

/// "exact", or the ROUGE-L.
std::string score_in_words(const AnswerScores& scores);

/// Says what the marks are, and where texts end.
Html sample_marks();

}  // namespace gist
