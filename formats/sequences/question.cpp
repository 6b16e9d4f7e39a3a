#include "formats/sequences/question.h"

#include <algorithm>
#include <limits>

#include "kernels/error.h"

namespace gist {
namespace {

/// Labels that fit behind `tokens` tokens.
std::int32_t room_behind(std::int64_t tokens, const ModelSpec& spec) {
  if (spec.max_positions == 0) return std::numeric_limits<std::int32_t>::max();
  return static_cast<std::int32_t>(std::max<std::int64_t>(spec.max_positions - tokens, 0));
}

}  // namespace

Question QuestionReader::read(const Record& record, const StagedRecord& prompt,
                              const std::string& where) const {
  const FieldLookup fields = [&record](std::string_view name) {
    const std::string* value = record.find_string(name);
    return value == nullptr ? std::string() : *value;
  };
  const Tokenizer& tokenizer = reference_.files->tokenizer;
  const PromptTemplate& layout = *reference_.layout;
  Question question;
  question.full_prompt = join(layout.before_gist(tokenizer, fields), reference_.gist_ids,
                              reference_.gist_tokens, layout.after_gist(tokenizer, fields));
  question.input = gist_.layout->after_gist(gist_.files->tokenizer, fields);
  const std::string answer = fields("output");
  if (!strip(answer).empty()) {
    question.answer = answer_tokens(answer, gist_.files->tokenizer, gist_.files->ends.written);
  }

  const std::int64_t before_answer =
      std::int64_t{prompt.position} + prompt.gist_tokens + std::ssize(question.input);
  question.room = std::min(room_behind(question.full_prompt.tokens(), *reference_.spec),
                           room_behind(before_answer, *gist_.spec));
  const std::int64_t wanted = std::max<std::int64_t>(std::ssize(question.answer), 1);
  if (wanted > question.room) {
    fail(ErrorKind::data,
         "{}:{}: can't be checked: prompt, input and answer take {} tokens, for which the model "
         "lacks positions; shorten \"input\" or \"output\"",
         where, record.line,
         wanted + std::max<std::int64_t>(question.full_prompt.tokens(), before_answer));
  }
  return question;
}

}  // namespace gist
