// Answering requests.
#include <map>
#include <span>
#include <utility>
#include <vector>

#include "gist/c/context.h"

using gist::c::OpenModel;
using gist::c::OpenStore;

namespace gist::c {
namespace {

/// The requests of one call as the model reads them. A gist that several stand behind is read once.
class RequestReader {
 public:
  RequestReader(const gist_context& context, GistModel& model) : context_(context), model_(model) {}

  TextRequest read(const gist_request& given, std::size_t number) {
    place_ = fmt::format("request {}", number + 1);
    try {
      return understood(taken(&given, place_.c_str()), number);
    } catch (const Error& error) {
      const std::string_view message = error.what();
      if (message.starts_with("request")) throw;
      throw Error(error.kind(), fmt::format("{}: {}", place_, message));
    }
  }

 private:
  TextRequest understood(const gist_request& request, std::size_t number) {
    check_sources(request);
    if (request.activations != nullptr || request.store != nullptr) {
      const PromptGist gist =
          request.activations != nullptr ? *context_.get(request.activations) : stored(request);
      return model_.behind(gist, text_or_empty(request.input, named("input")), number, place_);
    }
    return model_.reading(record_of(request, number), "request");
  }

  const char* named(const char* member) {
    name_ = place_ + ": " + member;
    return name_.c_str();
  }

  /// A request must say exactly one thing that it is answered from.
  void check_sources(const gist_request& request) const {
    const bool in_store = request.store != nullptr;
    const int sources = (request.activations != nullptr ? 1 : 0) + (in_store ? 1 : 0) +
                        (request.text != nullptr ? 1 : 0) +
                        (!in_store && request.instruction != nullptr ? 1 : 0);
    if (sources != 1) {
      fail(ErrorKind::usage,
           "{}: expected one of activations, store, instruction and text, found {}", place_,
           sources == 0 ? "none" : "several");
    }
    const int in_it = (request.gist != nullptr ? 1 : 0) + (request.instruction != nullptr ? 1 : 0);
    if (in_store && in_it != 1) {
      fail(ErrorKind::usage, "{}: with a store, expected gist or instruction, found {}", place_,
           in_it == 0 ? "neither" : "both");
    }
    if (!in_store && request.gist != nullptr) {
      fail(ErrorKind::usage, "{}: gist is an id in a store: give store", place_);
    }
    if (request.text != nullptr && request.input != nullptr) {
      fail(ErrorKind::usage, "{}: text is continued as it is: leave input NULL", place_);
    }
  }

  PromptGist stored(const gist_request& request) {
    const std::shared_ptr<OpenStore> open = context_.get(request.store);
    const Turn turn(open->turns);
    const std::uint64_t row =
        request.gist != nullptr
            ? open->source.row_of_id(text_of(request.gist, named("gist")))
            : open->source.row_of_instruction(text_of(request.instruction, named("instruction")));
    const auto [found, is_new] = read_.try_emplace({open, row});
    if (is_new) found->second = open->source.read(row);
    return found->second;
  }

  Record record_of(const gist_request& request, std::size_t number) {
    Record record;
    record.line = number + 1;
    record.ordinal = number;
    record.where = "request";
    record.fields = nlohmann::json::object();
    if (request.text != nullptr) {
      record.fields["text"] = text_of(request.text, named("text"));
    } else {
      record.fields["instruction"] = text_of(request.instruction, named("instruction"));
      record.fields["input"] = text_or_empty(request.input, named("input"));
    }
    return record;
  }

  const gist_context& context_;
  GistModel& model_;
  std::string place_, name_;
  /// By store and row. The stores live on: another thread may close one, and the next one that is
  /// opened could have its address.
  std::map<std::pair<std::shared_ptr<OpenStore>, std::uint64_t>, PromptGist> read_;
};

std::vector<TextRequest> requests_of(const gist_context& context, GistModel& model,
                                     std::span<const gist_request> given) {
  std::vector<TextRequest> requests;
  RequestReader reader(context, model);
  for (std::size_t i = 0; i < given.size(); ++i) requests.push_back(reader.read(given[i], i));
  return requests;
}

std::int32_t number_or(std::int32_t value, std::int32_t otherwise, const char* name) {
  if (value < 0) fail(ErrorKind::usage, "{}: expected 0 or more, found {}", name, value);
  return value == 0 ? otherwise : value;
}

GenerationOptions generation_of(const GistModel& model, const gist_generate_options& given) {
  GenerationOptions options = model.generation_options();
  options.max_new_tokens =
      number_or(given.max_new_tokens, options.max_new_tokens, "max_new_tokens");
  options.max_rows = number_or(given.batch_rows, options.max_rows, "batch_rows");
  options.batch_tokens = number_or(given.batch_tokens, options.batch_tokens, "batch_tokens");
  options.sampling.top_k = number_or(given.top_k, 0, "top_k");
  options.seed = given.seed;
  if (!(given.temperature >= 0 && given.temperature <= 1e6F)) {
    fail(ErrorKind::usage, "temperature: expected 0 or more, found {}", given.temperature);
  }
  options.sampling.temperature = given.temperature;
  if (!(given.top_p >= 0 && given.top_p <= 1)) {
    fail(ErrorKind::usage, "top_p: expected 0 to 1, found {}", given.top_p);
  }
  if (given.top_p > 0) options.sampling.top_p = given.top_p;
  return options;
}

std::vector<std::string> stops_of(const gist_generate_options& given) {
  std::vector<std::string> stops;
  if (given.stop_count > 0) require(given.stops, "stops");
  for (std::size_t i = 0; i < given.stop_count; ++i) {
    stops.push_back(text_of(given.stops[i], fmt::format("stops[{}]", i).c_str()));
    if (stops.back().empty()) {
      fail(ErrorKind::usage, "stops[{}]: an empty text would stop everything", i);
    }
  }
  return stops;
}

TextEvents events_of(const gist_generate_options& given, std::vector<TextRequest>& requests,
                     const Cancelling& cancelling) {
  TextEvents events;
  events.next = [&requests, next = std::size_t{0}]() mutable -> std::optional<TextRequest> {
    if (next == requests.size()) return std::nullopt;
    return std::move(requests[next++]);
  };
  if (given.text != nullptr) {
    events.text = [&given](std::uint64_t request, std::string_view settled) {
      const std::string text(settled);
      return given.text(given.user, request, text.c_str(), text.size()) == 0;
    };
  }
  events.done = [&given](std::uint64_t request, const TextCompletion& answer) {
    gist_completion completion{};
    completion.size = sizeof completion;
    completion.text = answer.text.c_str();
    completion.length = answer.text.size();
    const std::string reason(name_of(answer.reason));
    completion.finish_reason = reason.c_str();
    completion.tokens = static_cast<std::int32_t>(answer.tokens);
    if (given.done(given.user, request, &completion) != 0) {
      throw Ended(GIST_CANCELLED, "the callback `done` ended the call");
    }
  };
  events.interrupted = [&cancelling] { return cancelling.requested(); };
  return events;
}

}  // namespace
}  // namespace gist::c

extern "C" {

gist_status gist_generate(gist_context* context, gist_model model,
                          const gist_generate_options* options, const gist_request* requests,
                          size_t count, gist_error* error) {
  return gist::c::guarded(error, [&] {
    gist::c::require(context, "context");
    const gist_generate_options given = gist::c::taken(options, "options");
    if (given.done == nullptr) {
      gist::fail(gist::ErrorKind::usage, "options: done is NULL: nobody would hear of an answer");
    }
    gist::c::require(requests, "requests");
    const std::shared_ptr<OpenModel> open = context->get(model);
    const gist::c::Cancelling cancelling(*open);
    const gist::c::Turn turn(open->turns);
    const gist::GenerationOptions generation = gist::c::generation_of(open->model, given);
    const std::vector<std::string> stops = gist::c::stops_of(given);
    std::vector<gist::TextRequest> read =
        gist::c::requests_of(*context, open->model, {requests, count});
    cancelling.end_if_requested();
    open->model.answer(generation, stops, gist::c::events_of(given, read, cancelling));
    cancelling.end_if_requested();
  });
}
}
