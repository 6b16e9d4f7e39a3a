/* Compresses an instruction once, and answers inputs from the gist: one completion a line.
 *
 *     cc answer.c -lgist -o answer
 *     ./answer MODEL "Write the words in reverse order." "cat, lake, red" "one, two"
 */
#include <stdio.h>
#include <stdlib.h>

#include <gist/gist.h>

struct answers {
  char** texts; /* [inputs], in the order of the inputs */
};

static int32_t keep_answer(void* user, size_t request, const gist_completion* completion) {
  struct answers* answers = user;
  char* text = malloc(completion->length + 1);
  if (text == NULL) return 1;
  snprintf(text, completion->length + 1, "%s", completion->text);
  answers->texts[request] = text;
  return 0;
}

static int failed(const gist_error* error) {
  fprintf(stderr, "answer: %s\n", error->message);
  return EXIT_FAILURE;
}

/* Everything between opening the context and closing it. */
static int answer(gist_context* context, const char* directory, const char* instruction,
                  char** inputs, size_t count) {
  gist_error error = {sizeof error};
  gist_model_options model_options = {sizeof model_options};
  gist_model model = NULL;
  model_options.directory = directory;
  if (gist_model_open(context, &model_options, &model, &error) != GIST_OK) return failed(&error);

  gist_activations gist = NULL;
  if (gist_compress(context, model, &instruction, 1, &gist, &error) != GIST_OK) {
    return failed(&error);
  }

  struct answers answers = {calloc(count, sizeof(char*))};
  gist_request* requests = calloc(count, sizeof *requests);
  if (answers.texts == NULL || requests == NULL) return EXIT_FAILURE;
  for (size_t i = 0; i < count; ++i) {
    requests[i].size = sizeof requests[i];
    requests[i].activations = gist;
    requests[i].input = inputs[i];
  }
  gist_generate_options options = {sizeof options};
  options.max_new_tokens = 64;
  options.done = keep_answer;
  options.user = &answers;
  const gist_status status =
      gist_generate(context, model, &options, requests, count, &error);
  if (status == GIST_OK) {
    for (size_t i = 0; i < count; ++i) puts(answers.texts[i]);
  }
  for (size_t i = 0; i < count; ++i) free(answers.texts[i]);
  free(answers.texts);
  free(requests);
  return status == GIST_OK ? EXIT_SUCCESS : failed(&error);
}

int main(int argc, char** argv) {
  if (argc < 4) {
    fprintf(stderr, "usage: answer MODEL INSTRUCTION INPUT ...\n");
    return EXIT_FAILURE;
  }
  gist_error error = {sizeof error};
  gist_context* context = NULL;
  if (gist_context_open(NULL, &context, &error) != GIST_OK) return failed(&error);
  const int code = answer(context, argv[1], argv[2], argv + 3, (size_t)argc - 3);
  gist_context_close(&context);
  return code;
}
