// The fields of a store's header, in the order of the file: what reads, writes or shows all of them
// goes through this list.
#pragma once

#include <cstdint>
#include <string>
#include <type_traits>

#include "formats/store/gist_store.h"

namespace gist {

/// Calls visit(NAME, MEMBER) for each; a member is of type std::string, std::int64_t or Dtype.
template <typename Visit>
void for_each_header_field(const Visit& visit) {
  visit("creator", &StoreHeader::creator);
  visit("family", &StoreHeader::family);
  visit("architecture", &StoreHeader::architecture);
  visit("n_layers", &StoreHeader::n_layers);
  visit("n_kv_heads", &StoreHeader::n_kv_heads);
  visit("key_dim", &StoreHeader::key_dim);
  visit("value_dim", &StoreHeader::value_dim);
  visit("d_model", &StoreHeader::d_model);
  visit("dtype", &StoreHeader::dtype);
  visit("key_position", &StoreHeader::key_position);
  visit("gist_token", &StoreHeader::gist_token);
  visit("gist_token_id", &StoreHeader::gist_token_id);
  visit("gist_tokens", &StoreHeader::gist_tokens);
  visit("template", &StoreHeader::prompt_template);
  visit("condition", &StoreHeader::condition);
  visit("model_sha256", &StoreHeader::model_sha256);
  visit("tokenizer_sha256", &StoreHeader::tokenizer_sha256);
  visit("adapter_sha256", &StoreHeader::adapter_sha256);
}

/// Whether a field is left out where it is empty, as older stores have it.
template <typename Value>
bool may_be_left_out(Value StoreHeader::*member) {
  if constexpr (std::is_same_v<Value, std::string>) {
    return member == &StoreHeader::adapter_sha256;
  }
  return false;
}

}  // namespace gist
