/* libgist's C interface: open models, compress prompts to gists in memory or in a store, and answer
 * from them. The functions that this header declares are all that libgist.so exports.
 *
 *     gist_context* context = NULL;
 *     gist_model model = NULL;
 *     gist_error error = {sizeof error};
 *     gist_model_options options = {sizeof options};
 *     options.directory = "my-gist-model";
 *     if (gist_context_open(NULL, &context, &error) != GIST_OK ||
 *         gist_model_open(context, &options, &model, &error) != GIST_OK) {
 *       fprintf(stderr, "%s\n", error.message);
 *     }
 *     ...
 *     gist_context_close(&context);
 *
 * Structs carry their size: set `size` to sizeof the struct and every other member to 0, then what
 * you need. A later version adds members behind those that there are, and reads no more than
 * `size`; 0 always means the default. Texts are UTF-8 and end with a zero byte. They are read
 * during the call, and need not live longer.
 *
 * Every function that can fail gives a status and, unless `error` is NULL, one line for people in
 * it: what was expected, what was found, where, what to do. A call that fails leaves all handles as
 * they were, and usable; what it should have written to is NULL or 0.
 *
 * Handles (gist_model, gist_store, gist_activations) belong to their context. They are names, not
 * addresses: one that was closed, or that belongs to another context, is refused with GIST_CLOSED.
 *
 * Threads: any function may be called from any thread. Calls on one model, or on one store, wait
 * for each other; calls on different ones run at the same time. Callbacks run on the thread of the
 * call that was given them, and may call gist_cancel, nothing else, on the model that calls them.
 * gist_context_close waits for no one: no other call may use that context then.
 *
 * Nothing is written to standard output or error, no signal is handled, no environment variable is
 * read but HOME and XDG_CACHE_HOME, where the cache of fingerprints stands. Model families run in
 * this process, so they are trusted code. */
#ifndef GIST_GIST_H_
#define GIST_GIST_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define GIST_API __attribute__((visibility("default")))
#else
#define GIST_API
#endif

/* The version of this interface. Within one GIST_C_MAJOR, programs built with an earlier version
 * run with a later library. */
#define GIST_C_MAJOR 0
#define GIST_C_MINOR 1

/* What the library implements, as major * 1000 + minor. May be called before anything else. */
GIST_API int32_t gist_c_version(void);
/* The version of gist: "0.1.0". */
GIST_API const char* gist_version(void);

typedef enum gist_status {
  GIST_OK = 0,
  GIST_USAGE = 1,         /* an argument is not what it should be, or arguments contradict */
  GIST_DATA = 2,          /* a file, prompt or record is not what it should be */
  GIST_NO_INPUT = 3,      /* a file is missing or can't be read */
  GIST_UNAVAILABLE = 4,   /* a device, a plugin or memory can't be had */
  GIST_INTERNAL = 5,      /* a bug in gist */
  GIST_CANNOT_CREATE = 6, /* an output exists already, or its directory can't be written */
  GIST_IO = 7,            /* reading or writing failed: disk full, I/O error */
  GIST_BUSY = 8,          /* another run holds the output */
  GIST_CLOSED = 9,        /* the handle was closed, or is none of this context */
  GIST_CANCELLED = 10,    /* gist_cancel, or a callback, ended the call */
} gist_status;

/* The name of a status: "data". Of a number that is none: "unknown". */
GIST_API const char* gist_status_name(gist_status status);

/* Filled by a call that fails; the message is cut where it is longer. */
typedef struct gist_error {
  size_t size;
  gist_status status;
  char message[1024];
} gist_error;

typedef struct gist_context gist_context;
typedef struct gist_model_name* gist_model;
typedef struct gist_store_name* gist_store;
typedef struct gist_activations_name* gist_activations;

/* ---- Contexts ---------------------------------------------------------------------------------- */

typedef struct gist_context_options {
  size_t size;
  /* Directories of plugins (model families) to search first, separated by ':'; they are absolute.
   * Then those are searched that lie where libgist.so is installed. NULL for these alone. */
  const char* plugin_path;
  /* Lines for people, such as which device was chosen, on the threads of the calls that have
   * something to say: on several at once, where several call. NULL: they are dropped. */
  void (*log)(void* user, const char* line);
  void* user;
} gist_context_options;

/* `options` may be NULL. */
GIST_API gist_status gist_context_open(const gist_context_options* options, gist_context** context,
                                       gist_error* error);
/* Closes the context and all its handles, and sets it to NULL. NULL, or a context that is NULL, is
 * let be. */
GIST_API void gist_context_close(gist_context** context);

/* ---- Models ------------------------------------------------------------------------------------ */

typedef struct gist_model_options {
  size_t size;
  const char* directory; /* of the model, as Hugging Face writes it */
  const char* device;    /* "auto" (NULL), "cpu", "cuda:0" */
  const char* dtype;     /* "f32" (NULL) or "bf16": of weights and of the inputs of products */
  const char* family;    /* the family's id, where several serve the model; NULL: any */
  int32_t threads;       /* of the CPU; 0: as many as the process may use */
  int32_t gist_tokens;   /* per prompt, of a model that leaves it open; 0: as gist.json says */
} gist_model_options;

/* Opens a model and loads its weights. */
GIST_API gist_status gist_model_open(gist_context* context, const gist_model_options* options,
                                     gist_model* model, gist_error* error);
/* A call that runs on another thread ends first. */
GIST_API gist_status gist_model_close(gist_context* context, gist_model model, gist_error* error);

typedef struct gist_model_facts {
  size_t size;
  char family[64];       /* "llama" */
  char device[64];       /* "cpu", "cuda:0" */
  char condition[8];     /* under which it was trained: "gist", "pos", "neg"; "" where none says */
  int32_t gist_tokens;   /* a prompt; 0 where nothing says */
  int32_t max_positions; /* 0: any number */
  int32_t layers;        /* whose keys and values a gist has */
  int32_t key_heads, key_width, value_width;
  int32_t hidden_width;
  uint64_t weight_bytes; /* on the device */
} gist_model_facts;

GIST_API gist_status gist_model_describe(gist_context* context, gist_model model,
                                         gist_model_facts* facts, gist_error* error);

/* Ends the calls that run on the model with GIST_CANCELLED, within a step. */
GIST_API gist_status gist_cancel(gist_context* context, gist_model model, gist_error* error);

/* ---- Gists in memory --------------------------------------------------------------------------- */

/* Compresses prompts: activations[i] become a handle for instructions[i]. On failure
 * all are NULL. */
GIST_API gist_status gist_compress(gist_context* context, gist_model model,
                                   const char* const* instructions, size_t count,
                                   gist_activations* activations, gist_error* error);

/* The activations of a prompt's gist tokens, as f32 in this process's memory, until the handle is
 * closed. Keys are unrotated (they have no position of their own). */
typedef struct gist_activations_view {
  size_t size;
  int32_t tokens;
  int32_t position;    /* of the first gist token, in its prompt */
  const float* key;    /* [tokens, layers, key_heads, key_width] */
  const float* value;  /* [tokens, layers, key_heads, value_width] */
  const float* hidden; /* [tokens, hidden_width], or NULL where a store has none */
  size_t key_count, value_count, hidden_count;
} gist_activations_view;

GIST_API gist_status gist_activations_read(gist_context* context, gist_activations activations,
                                           gist_activations_view* view, gist_error* error);
GIST_API gist_status gist_activations_close(gist_context* context, gist_activations activations,
                                            gist_error* error);

/* ---- Stores ------------------------------------------------------------------------------------ */

typedef struct gist_prompt {
  size_t size;
  const char* id; /* NULL: the prompt's SHA-256, in hexadecimal */
  const char* instruction;
} gist_prompt;

typedef struct gist_receipt {
  size_t size;
  const char* id; /* until the callback returns */
  uint64_t row;
  int32_t prompt_tokens, gist_tokens;
  const char* status; /* "stored", or "duplicate" of a prompt before it, whose row it has */
} gist_receipt;

/* What happens where the store, or an unfinished call's PATH.partial, is there already. */
typedef enum gist_begin {
  GIST_CREATE = 0,  /* GIST_CANNOT_CREATE */
  GIST_RESUME = 1,  /* an unfinished call goes on; a finished store is compared with the prompts */
  GIST_REPLACE = 2, /* PATH.partial is discarded at once, the store replaced at the end */
} gist_begin;

typedef struct gist_compress_options {
  size_t size;
  const char* dtype;    /* of the store: "f32" (NULL), "bf16", "f16" */
  int32_t begin;        /* a gist_begin */
  int32_t batch_tokens; /* tokens of one pass; 0: 8192 */
  /* Called for each prompt when it is safe on disk; NULL for none. Anything but 0 ends the call. */
  int32_t (*receipt)(void* user, const gist_receipt* receipt);
  void* user;
} gist_compress_options;

/* Compresses prompts into a new store. `next` fills in the next prompt and returns 1, or returns 0
 * at the end, -1 to give up (GIST_CANCELLED). Texts that it gives must live until it is called
 * again. As `gist compress` does, this stages rows in PATH.partial, and makes the store of them at
 * the end. What a call that fails or is cancelled has staged stays there: with GIST_RESUME and the
 * same prompts another one goes on, and tells their receipts again. */
GIST_API gist_status gist_compress_to_store(gist_context* context, gist_model model,
                                            const char* path, const gist_compress_options* options,
                                            int32_t (*next)(void* user, gist_prompt* prompt),
                                            void* user, gist_error* error);

typedef struct gist_store_options {
  size_t size;
  int32_t trusted; /* 1: no process of its own reads the file first, which a damaged one needs */
  uint64_t cache_bytes; /* of decompressed chunks that are kept; 0: 64 MiB */
} gist_store_options;

/* `options` may be NULL. */
GIST_API gist_status gist_store_open(gist_context* context, const char* path,
                                     const gist_store_options* options, gist_store* store,
                                     gist_error* error);
GIST_API gist_status gist_store_close(gist_context* context, gist_store store, gist_error* error);

typedef struct gist_store_facts {
  size_t size;
  uint64_t rows;
  uint64_t gist_tokens; /* of all rows */
  char dtype[8];
  char condition[8];
  char model_sha256[65];
} gist_store_facts;

GIST_API gist_status gist_store_describe(gist_context* context, gist_store store,
                                         gist_store_facts* facts, gist_error* error);

/* The row of an id, or of the instruction that was compressed; GIST_DATA where there is none. */
GIST_API gist_status gist_store_find(gist_context* context, gist_store store, const char* id,
                                     uint64_t* row, gist_error* error);
GIST_API gist_status gist_store_find_prompt(gist_context* context, gist_store store,
                                            const char* instruction, uint64_t* row,
                                            gist_error* error);
/* The id of a row, into `id` of `capacity` bytes, the zero byte included. Where that is too small,
 * GIST_USAGE; `length`, unless NULL, then says how many bytes the id has. */
GIST_API gist_status gist_store_id(gist_context* context, gist_store store, uint64_t row, char* id,
                                   size_t capacity, size_t* length, gist_error* error);
/* Reads a row's activations. */
GIST_API gist_status gist_store_read(gist_context* context, gist_store store, uint64_t row,
                                     gist_activations* activations, gist_error* error);

/* ---- Answers ----------------------------------------------------------------------------------- */

/* One thing to answer: what is first set of these decides.
 *   activations            and `input`: behind this gist
 *   store and gist         and `input`: behind the store's gist with this id
 *   store and instruction  and `input`: behind the store's gist of this instruction
 *   instruction            and `input`: the instruction itself is read, as the model was trained to
 *   text                   alone is continued, without gist */
typedef struct gist_request {
  size_t size;
  gist_activations activations;
  gist_store store;
  const char* gist;
  const char* instruction;
  const char* input; /* NULL: "" */
  const char* text;
} gist_request;

typedef struct gist_completion {
  size_t size;
  const char* text;          /* without what stopped it; until the callback returns */
  size_t length;             /* bytes of text: it may hold zero bytes */
  const char* finish_reason; /* "eos", "stop", "length" */
  int32_t tokens;
} gist_completion;

typedef struct gist_generate_options {
  size_t size;
  int32_t max_new_tokens; /* of a completion; 0: 256 */
  float temperature;      /* 0: always the likeliest token */
  int32_t top_k;          /* draw among the likeliest; 0: all */
  float top_p;            /* draw among the likeliest that have this probability together; 0: all */
  uint64_t seed;          /* request i draws the same whatever runs beside it */
  int32_t batch_rows;     /* requests that run together; 0: 64 */
  int32_t batch_tokens;   /* tokens of one pass; 0: 4096 */
  const char* const* stops; /* texts each of which ends a completion; NULL for none */
  size_t stop_count;
  /* Called after each token with the whole text so far that will stay as it is; NULL for none.
   * Anything but 0 ends this request with the reason "stop". */
  int32_t (*text)(void* user, size_t request, const char* text, size_t length);
  /* Called for each request when it is answered, in the order in which they end. Anything but 0
   * ends the call with GIST_CANCELLED. */
  int32_t (*done)(void* user, size_t request, const gist_completion* completion);
  void* user;
} gist_generate_options;

/* Answers requests, many at a time. `done` must be set. A request that can't be used fails the call
 * before any is answered; the message says which, counted from 1. */
GIST_API gist_status gist_generate(gist_context* context, gist_model model,
                                   const gist_generate_options* options,
                                   const gist_request* requests, size_t count, gist_error* error);

#ifdef __cplusplus
}
#endif

#endif /* GIST_GIST_H_ */
