#include "formats/store_header_json.h"

#include "formats/gist_store_layout.h"
#include "formats/json_text.h"
#include "kernels/error.h"

namespace gist {

using nlohmann::json;

nlohmann::ordered_json to_json(const StoreHeader& header) {
  return {{"creator", header.creator},
          {"family", header.family},
          {"architecture", header.architecture},
          {"n_layers", header.n_layers},
          {"n_kv_heads", header.n_kv_heads},
          {"key_dim", header.key_dim},
          {"value_dim", header.value_dim},
          {"d_model", header.d_model},
          {"dtype", name_of(header.dtype)},
          {"key_position", header.key_position},
          {"gist_token", header.gist_token},
          {"gist_token_id", header.gist_token_id},
          {"gist_tokens", header.gist_tokens},
          {"template", header.prompt_template},
          {"condition", header.condition},
          {"model_sha256", header.model_sha256},
          {"tokenizer_sha256", header.tokenizer_sha256}};
}

StoreHeader store_header_from_json(const std::string& text, const std::string& name) {
  try {
    const json values = parse_json(text, name);
    StoreHeader header;
    values.at("creator").get_to(header.creator);
    values.at("family").get_to(header.family);
    values.at("architecture").get_to(header.architecture);
    values.at("n_layers").get_to(header.n_layers);
    values.at("n_kv_heads").get_to(header.n_kv_heads);
    values.at("key_dim").get_to(header.key_dim);
    values.at("value_dim").get_to(header.value_dim);
    values.at("d_model").get_to(header.d_model);
    header.dtype = dtype_named(values.at("dtype").get<std::string>()).value_or(Dtype::i32);
    values.at("key_position").get_to(header.key_position);
    values.at("gist_token").get_to(header.gist_token);
    values.at("gist_token_id").get_to(header.gist_token_id);
    values.at("gist_tokens").get_to(header.gist_tokens);
    values.at("template").get_to(header.prompt_template);
    values.at("condition").get_to(header.condition);
    values.at("model_sha256").get_to(header.model_sha256);
    values.at("tokenizer_sha256").get_to(header.tokenizer_sha256);
    if (header.dtype == Dtype::i32) fail(ErrorKind::data, "{}: unknown dtype", name);
    check_store_shape(header, name);
    return header;
  } catch (const json::exception& error) {
    fail(ErrorKind::data, "{}: no staging file of gist, or a damaged one ({})", name, error.what());
  }
}

}  // namespace gist
