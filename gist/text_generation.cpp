#include "gist/text_generation.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "formats/sequences/completion_text.h"

namespace gist {
namespace {

class TextGeneration {
 public:
  TextGeneration(const Tokenizer& tokenizer, const std::vector<std::string>& stops,
                 const TextEvents& events)
      : tokenizer_(tokenizer), stops_(stops), events_(events) {}

  void run(const Model& model, const GenerationOptions& options) {
    GenerationEvents rows;
    rows.next = [this] { return next(); };
    rows.token = [this](std::uint64_t request, const std::vector<std::int32_t>& ids) {
      return go_on(request, ids);
    };
    rows.done = [this](std::uint64_t request, const Completion& completion) {
      finish(request, completion);
    };
    rows.interrupted = [this] { return events_.interrupted && events_.interrupted(); };
    generate(model, options, rows);
  }

 private:
  std::optional<GenerationRequest> next() {
    std::optional<TextRequest> request = events_.next();
    if (!request) return std::nullopt;
    const TextRequest& kept = running_.emplace(taken_++, std::move(*request)).first->second;
    return request_for(kept.context, kept.stored.get(), kept.ordinal);
  }

  bool go_on(std::uint64_t request, const std::vector<std::int32_t>& ids) {
    const bool told = events_.text && (!events_.follows || events_.follows(request));
    if (stops_.empty() && !told) return true;
    const std::string text = completion_text(tokenizer_, running_.at(request).context, ids);
    if (find_stop(text, stops_) != std::string::npos) return false;
    if (!told) return true;
    const std::size_t settled = tokenizer_.settled(ids);
    const std::string known = settled == ids.size()
                                  ? text
                                  : completion_text(tokenizer_, running_.at(request).context,
                                                    std::span(ids).first(settled));
    return events_.text(request, std::string_view(known).substr(0, settled_bytes(known, stops_)));
  }

  void finish(std::uint64_t request, const Completion& completion) {
    TextCompletion result;
    result.text = completion_text(tokenizer_, running_.at(request).context, completion.ids);
    result.text.resize(std::min(result.text.size(), find_stop(result.text, stops_)));
    result.reason = completion.reason;
    result.tokens = static_cast<std::int64_t>(completion.ids.size());
    running_.erase(request);
    events_.done(request, std::move(result));
  }

  const Tokenizer& tokenizer_;
  const std::vector<std::string>& stops_;
  const TextEvents& events_;
  std::uint64_t taken_ = 0;
  std::unordered_map<std::uint64_t, TextRequest> running_;
};

}  // namespace

void generate_texts(const Model& model, const Tokenizer& tokenizer,
                    const GenerationOptions& options, const std::vector<std::string>& stops,
                    const TextEvents& events) {
  TextGeneration(tokenizer, stops, events).run(model, options);
}

}  // namespace gist
