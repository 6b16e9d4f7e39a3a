// Opening stores, and looking gists up in them.
#include <algorithm>

#include "gist/c/context.h"

using gist::ErrorKind;
using gist::fail;
using gist::c::OpenStore;
using gist::c::Turn;

namespace gist::c {
namespace {

gist_store_facts facts_of(const GistStore& store) {
  gist_store_facts facts{};
  facts.rows = store.rows();
  facts.gist_tokens = store.total_gist_tokens();
  copy_text(facts.dtype, name_of(store.header().dtype));
  copy_text(facts.condition, store.header().condition);
  copy_text(facts.model_sha256, store.header().model_sha256);
  return facts;
}

/// Runs `use` on an open store, in its turn.
template <typename Use>
void with_store(gist_context* context, gist_store store, const Use& use) {
  require(context, "context");
  const std::shared_ptr<OpenStore> open = context->get(store);
  const Turn turn(open->turns);
  use(open->source);
}

}  // namespace
}  // namespace gist::c

extern "C" {

gist_status gist_store_open(gist_context* context, const char* path,
                            const gist_store_options* options, gist_store* store,
                            gist_error* error) {
  return gist::c::guarded(error, [&] {
    gist::c::require(store, "store");
    *store = nullptr;
    gist::c::require(context, "context");
    const gist_store_options given = gist::c::taken(options, "options", true);
    gist::StoreReading reading;
    reading.trusted = given.trusted != 0;
    if (given.cache_bytes > 0) reading.cache_bytes = given.cache_bytes;
    gist::c::require(path, "path");
    *store = context->add(std::make_shared<OpenStore>(path, reading));
  });
}

gist_status gist_store_close(gist_context* context, gist_store store, gist_error* error) {
  return gist::c::guarded(error, [&] {
    gist::c::require(context, "context");
    context->remove(store);
  });
}

gist_status gist_store_describe(gist_context* context, gist_store store, gist_store_facts* facts,
                                gist_error* error) {
  return gist::c::guarded(error, [&] {
    gist::c::with_store(context, store, [&](const gist::GistSource& source) {
      gist::c::give(facts, gist::c::facts_of(source.store()), "facts");
    });
  });
}

gist_status gist_store_find(gist_context* context, gist_store store, const char* id, uint64_t* row,
                            gist_error* error) {
  return gist::c::guarded(error, [&] {
    gist::c::require(row, "row");
    *row = 0;
    const std::string text = gist::c::text_of(id, "id");
    gist::c::with_store(context, store,
                        [&](const gist::GistSource& source) { *row = source.row_of_id(text); });
  });
}

gist_status gist_store_find_prompt(gist_context* context, gist_store store, const char* instruction,
                                   uint64_t* row, gist_error* error) {
  return gist::c::guarded(error, [&] {
    gist::c::require(row, "row");
    *row = 0;
    const std::string text = gist::c::text_of(instruction, "instruction");
    gist::c::with_store(context, store, [&](const gist::GistSource& source) {
      *row = source.row_of_instruction(text);
    });
  });
}

gist_status gist_store_id(gist_context* context, gist_store store, uint64_t row, char* id,
                          size_t capacity, size_t* length, gist_error* error) {
  return gist::c::guarded(error, [&] {
    if (length != nullptr) *length = 0;
    if (capacity > 0) {
      gist::c::require(id, "id");
      id[0] = '\0';
    }
    gist::c::with_store(context, store, [&](const gist::GistSource& source) {
      if (row >= source.store().rows()) {
        fail(ErrorKind::usage, "row: {} has {} rows, there is no row {}",
             source.store().path().string(), source.store().rows(), row);
      }
      const std::string_view text = source.store().id(row);
      if (length != nullptr) *length = text.size();
      if (text.size() >= capacity) {
        fail(ErrorKind::usage, "capacity: the id of row {} takes {} bytes and a zero byte, not {}",
             row, text.size(), capacity);
      }
      std::copy(text.begin(), text.end(), id);
      id[text.size()] = '\0';
    });
  });
}

gist_status gist_store_read(gist_context* context, gist_store store, uint64_t row,
                            gist_activations* activations, gist_error* error) {
  return gist::c::guarded(error, [&] {
    gist::c::require(activations, "activations");
    *activations = nullptr;
    gist::c::with_store(context, store, [&](const gist::GistSource& source) {
      *activations = context->add(std::make_shared<const gist::PromptGist>(source.read(row)));
    });
  });
}
}
