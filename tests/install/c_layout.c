/* Prints where the members of the structs of gist.h stand: test_install.py compares it with c_layout.txt. */
#include <gist/gist.h>
#include <stddef.h>
#include <stdio.h>

#define SIZE(type) printf(#type " %zu\n", sizeof(type))
#define MEMBER(type, member) printf("  " #member " %zu\n", offsetof(type, member))

int main(void) {
  SIZE(gist_error);
  MEMBER(gist_error, size);
  MEMBER(gist_error, status);
  MEMBER(gist_error, message);
  SIZE(gist_context_options);
  MEMBER(gist_context_options, size);
  MEMBER(gist_context_options, plugin_path);
  MEMBER(gist_context_options, log);
  MEMBER(gist_context_options, user);
  SIZE(gist_model_options);
  MEMBER(gist_model_options, size);
  MEMBER(gist_model_options, directory);
  MEMBER(gist_model_options, device);
  MEMBER(gist_model_options, dtype);
  MEMBER(gist_model_options, family);
  MEMBER(gist_model_options, threads);
  MEMBER(gist_model_options, gist_tokens);
  SIZE(gist_model_facts);
  MEMBER(gist_model_facts, size);
  MEMBER(gist_model_facts, family);
  MEMBER(gist_model_facts, device);
  MEMBER(gist_model_facts, condition);
  MEMBER(gist_model_facts, gist_tokens);
  MEMBER(gist_model_facts, max_positions);
  MEMBER(gist_model_facts, layers);
  MEMBER(gist_model_facts, key_heads);
  MEMBER(gist_model_facts, key_width);
  MEMBER(gist_model_facts, value_width);
  MEMBER(gist_model_facts, hidden_width);
  MEMBER(gist_model_facts, weight_bytes);
  SIZE(gist_activations_view);
  MEMBER(gist_activations_view, size);
  MEMBER(gist_activations_view, tokens);
  MEMBER(gist_activations_view, position);
  MEMBER(gist_activations_view, key);
  MEMBER(gist_activations_view, value);
  MEMBER(gist_activations_view, hidden);
  MEMBER(gist_activations_view, key_count);
  MEMBER(gist_activations_view, value_count);
  MEMBER(gist_activations_view, hidden_count);
  SIZE(gist_prompt);
  MEMBER(gist_prompt, size);
  MEMBER(gist_prompt, id);
  MEMBER(gist_prompt, instruction);
  SIZE(gist_receipt);
  MEMBER(gist_receipt, size);
  MEMBER(gist_receipt, id);
  MEMBER(gist_receipt, row);
  MEMBER(gist_receipt, prompt_tokens);
  MEMBER(gist_receipt, gist_tokens);
  MEMBER(gist_receipt, status);
  SIZE(gist_compress_options);
  MEMBER(gist_compress_options, size);
  MEMBER(gist_compress_options, dtype);
  MEMBER(gist_compress_options, begin);
  MEMBER(gist_compress_options, batch_tokens);
  MEMBER(gist_compress_options, receipt);
  MEMBER(gist_compress_options, user);
  SIZE(gist_store_options);
  MEMBER(gist_store_options, size);
  MEMBER(gist_store_options, trusted);
  MEMBER(gist_store_options, cache_bytes);
  SIZE(gist_store_facts);
  MEMBER(gist_store_facts, size);
  MEMBER(gist_store_facts, rows);
  MEMBER(gist_store_facts, gist_tokens);
  MEMBER(gist_store_facts, dtype);
  MEMBER(gist_store_facts, condition);
  MEMBER(gist_store_facts, model_sha256);
  SIZE(gist_request);
  MEMBER(gist_request, size);
  MEMBER(gist_request, activations);
  MEMBER(gist_request, store);
  MEMBER(gist_request, gist);
  MEMBER(gist_request, instruction);
  MEMBER(gist_request, input);
  MEMBER(gist_request, text);
  SIZE(gist_completion);
  MEMBER(gist_completion, size);
  MEMBER(gist_completion, text);
  MEMBER(gist_completion, length);
  MEMBER(gist_completion, finish_reason);
  MEMBER(gist_completion, tokens);
  SIZE(gist_generate_options);
  MEMBER(gist_generate_options, size);
  MEMBER(gist_generate_options, max_new_tokens);
  MEMBER(gist_generate_options, temperature);
  MEMBER(gist_generate_options, top_k);
  MEMBER(gist_generate_options, top_p);
  MEMBER(gist_generate_options, seed);
  MEMBER(gist_generate_options, batch_rows);
  MEMBER(gist_generate_options, batch_tokens);
  MEMBER(gist_generate_options, stops);
  MEMBER(gist_generate_options, stop_count);
  MEMBER(gist_generate_options, text);
  MEMBER(gist_generate_options, done);
  MEMBER(gist_generate_options, user);
  return 0;
}
