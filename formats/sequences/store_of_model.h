// This file says which model made a store, by the store's header, and whether it is a given model.
#pragma once

#include <cstdint>

#include "core/model.h"
#include "core/visibility.h"
#include "formats/model/model_files.h"
#include "formats/model/prompt_template.h"
#include "formats/store/gist_store.h"

namespace gist {

/// The header of a store made with this model.
StoreHeader store_header(const ModelFiles& files, const ModelSpec& spec, Condition condition,
                         std::int32_t gist_tokens, const PromptTemplate& prompt_template);
/// Throws Error(data) where what has this header, and is called `name`, was made with another
/// model, tokenizer or template: what differs. Shapes must always agree; the rest is let through
/// where `allow_mismatch`.
void check_made_with(const StoreHeader& header, const std::string& name, const ModelFiles& files,
                     const ModelSpec& spec, bool allow_mismatch);

}  // namespace gist
