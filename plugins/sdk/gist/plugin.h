/* gist plugin ABI: what a model family and the host agree on. Pure C.
 *
 * A plugin is a shared library that exports one data symbol, `gist_plugin`, and stands beside a
 * manifest NAME.gist.json. A family says what its weights are called and how a layer is wired;
 * batches, masks, caches, gists, gradients and devices are the host's.
 *
 * Rules that hold for everything below:
 * - Every struct but gist_plugin_info starts with its size in bytes, as its author's compiler saw
 *   it. A reader takes fields beyond that size as absent. Arrays of structs are walked by the size
 *   that their elements declare.
 * - Enums travel as fixed-width integers.
 * - No C++ type, exception, allocator or file handle crosses. Who allocates frees.
 * - Strings are UTF-8, NUL-terminated, owned by the side that made them.
 * - A model's callbacks are never called by two threads at once. Different models' may be.
 * - Handles that a callback is given (gist_config, gist_pass, gist_tensor) live until it returns.
 *
 * A library that was built against version 1.n is taken by every host of 1.m, m >= n: minor versions
 * add fields behind those that structs have, operations and values of enums, and change nothing else.
 */
#ifndef GIST_PLUGIN_H
#define GIST_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define GIST_PLUGIN_MAGIC 0x54534947u /* "GIST", little-endian */
#define GIST_ABI_MAJOR 1
#define GIST_ABI_MINOR 0

typedef int32_t gist_status;
enum {
  GIST_OK = 0,
  GIST_MISSING = 1,    /* the key is not there, or is null */
  GIST_WRONG_TYPE = 2, /* the key is there, with another type or out of range */
  GIST_FAILED = 3,     /* said by a plugin: see gist_config_host.reject and gist_ops.fail */
  GIST_DECLINED = 4    /* said by `configure`: another family may serve this configuration */
};

/* ---- configuration ---- */

/* The model's config.json. */
typedef struct gist_config gist_config;

/* Getters over config.json. Keys may be paths, into lists, too ("rope_scaling.factor",
 * "layer_types.0"). On any status but GIST_OK the output is left as it was. Strings live until the
 * callback returns. The host warns of keys with a value other than null and false that no getter
 * asked for: a family asks for those that mean nothing to it, too. */
typedef struct gist_config_host {
  uint32_t size;
  uint32_t reserved;
  /* An integer of 64 bits; 3.0 is none. get_float takes integers, too. */
  gist_status (*get_int)(const gist_config* config, const char* key, int64_t* value);
  gist_status (*get_float)(const gist_config* config, const char* key, double* value);
  gist_status (*get_bool)(const gist_config* config, const char* key, uint8_t* value);
  gist_status (*get_string)(const gist_config* config, const char* key, const char** value);
  /* Any value as JSON text: for lists, and for messages that say what was found. */
  gist_status (*get_json)(const gist_config* config, const char* key, const char** text);
  /* Records why this configuration can't be served; `configure` then returns GIST_FAILED. The
   * message is copied. It names the key, what was expected and what was found. */
  void (*reject)(const gist_config* config, const char* message);
  /* A line that the user of the model sees once; it is copied. */
  void (*warn)(const gist_config* config, const char* message);
  /* As gist_ops.extension. */
  const void* (*extension)(const char* name);
} gist_config_host;

/* ---- what a model declares ---- */

/* Which values the fields of these names take. */
enum { GIST_USE_MATRIX = 0, GIST_USE_TABLE = 1, GIST_USE_VECTOR = 2 };
enum { GIST_INIT_NORMAL = 0, GIST_INIT_CONSTANT = 1 };
enum { GIST_STACK_CAUSAL = 0, GIST_STACK_BIDIRECTIONAL = 1 };
enum { GIST_KEYS_WITHOUT_POSITION = 0, GIST_KEYS_ROTATED = 1, GIST_KEYS_ABSOLUTE = 2 };
enum { GIST_NONE = -1 };

/* A weight as the checkpoint names it. */
typedef struct gist_weight {
  uint32_t size;
  int32_t stack;    /* the stack whose every layer has one: "{layer}" in the name is the layer's
                       number. GIST_NONE: one weight, shared by all. */
  const char* name; /* "model.layers.{layer}.mlp.up_proj.weight"; no name twice */
  const char* const* other_names; /* what some checkpoints call it instead, with "{layer}" where
                                     `name` has it; the first that is there counts, where `name`
                                     isn't */
  uint32_t n_other_names;
  uint32_t use;  /* GIST_USE_MATRIX: [n, k], for linear. GIST_USE_TABLE: [rows, d], for embedding.
                    GIST_USE_VECTOR: [n], norms and biases. */
  uint32_t rank; /* 1 to 4 */
  int64_t shape[4];
  const char* tied_to; /* the name of the shared weight of the same shape whose values this shared
                          weight has, and which is not tied itself; NULL: its own */
  uint32_t init;       /* GIST_INIT_*: how training from scratch starts it */
  float init_value;    /* the deviation of GIST_INIT_NORMAL, the value of GIST_INIT_CONSTANT */
  uint32_t stored_transposed; /* 1: the checkpoint has this matrix [n, k] as [k, n]; neither tied
                                 nor the head */
} gist_weight;

typedef struct gist_stack {
  uint32_t size;
  uint32_t kind; /* GIST_STACK_* */
  int32_t layers;
  int32_t heads;    /* of queries */
  int32_t kv_heads; /* of keys and values; divides heads */
  int32_t key_dim;
  int32_t value_dim;
  int32_t reads;  /* the stack whose output the layers' cross-attention reads, or GIST_NONE */
  int32_t window; /* of a causal stack: attention that is windowed sees only keys at fewer than so
                     many positions before the query, itself included; 0: no window */
} gist_stack;

/* What `configure` fills in. The host has set size to what it will read, and everything else to
 * zero; the plugin leaves size as it is. Everything it points to belongs to the model and lives
 * until `destroy`. */
typedef struct gist_model {
  uint32_t size;
  int32_t d_model;
  int32_t vocabulary;    /* rows of the embedding table */
  int32_t max_positions; /* 0: unlimited */
  /* GIST_KEYS_*: keys carry no position (T5's relative bias), are rotated to it (RoPE), or have it
   * from the embedding of positions: max_positions isn't 0 then, and stored gists stay where they
   * were made. */
  int32_t key_position;
  /* 1: causal (a decoder); or 2: bidirectional, then causal that reads stack 0 (an
   * encoder-decoder). Other combinations are refused in this version. */
  uint32_t n_stacks;
  const gist_stack* stacks;
  uint32_t n_weights;
  int32_t head_weight;   /* index of the head's matrix [vocabulary, d_model] */
  int32_t head_bias;     /* index of its bias, or GIST_NONE */
  float head_scale;      /* logits = cap(scale * (hidden weight^T + bias)); 0 is an error */
  float head_soft_cap;   /* cap(x) = c tanh(x / c); 0: none */
  int32_t decoder_start; /* of an encoder-decoder: the token that every answer begins after */
  const gist_weight* weights;
  void* self; /* the model's own state, handed to its callbacks */
} gist_model;

/* ---- operations ---- */

/* A running pass, and a tensor in it. Tensor 0 is the poisoned tensor: operations on it do nothing
 * and return it, so that no check is needed after each line. The first failure is kept with the
 * operation's name, the shapes and the layer, and reported when the callback has returned. */
typedef struct gist_pass gist_pass;
typedef uint32_t gist_tensor;

enum { GIST_ACTIVATION_SILU = 0, GIST_ACTIVATION_RELU = 1, GIST_ACTIVATION_GELU_NEW = 2 };
enum { GIST_POSITION_NONE = 0, GIST_POSITION_ROPE = 1, GIST_POSITION_RELATIVE_BIAS = 2 };
enum { GIST_ATTENTION_SELF = 0, GIST_ATTENTION_CROSS = 1 };

/* Attention as the family defines it; what sees what is the host's. */
typedef struct gist_attention {
  uint32_t size;
  uint32_t position;          /* GIST_POSITION_* */
  const float* rope_inv_freq; /* [rope_dims / 2], in f32; read before the call returns */
  int32_t rope_dims;          /* leading dimensions of a head that are rotated */
  int32_t rope_interleaved;   /* 0: pairs (i, i + rope_dims / 2); 1: pairs (2 i, 2 i + 1) */
  float rope_scale;           /* of sine and cosine; 1 but for yarn and the like; 0 is an error */
  float softmax_scale;        /* of the scores, usually key_dim^-0.5; 0 is an error */
  float soft_cap;             /* score = c tanh(score / c); 0: none */
  uint32_t source;            /* GIST_ATTENTION_*: whose keys and values these are */
  float dropout;              /* of the probabilities, in training; 0: none */
  int32_t bias_table;         /* GIST_POSITION_RELATIVE_BIAS: the table [buckets, heads] */
  int32_t bias_max_distance;  /* beyond which distances share a bucket */
  uint32_t windowed;          /* 1: within the stack's window; 0: all that is visible */
} gist_attention;

/* The host's operations. Tensors are [n, width] for the n tokens of the pass, f32 to the plugin
 * whatever the device computes in. Weights are named by their index in gist_model.weights; those of
 * a stack are the running layer's, and exist in `layer` only. Indices out of range and shapes that
 * don't fit fail. Ops are called on the thread that the callback runs on, before it returns. */
typedef struct gist_ops {
  uint32_t size;
  uint32_t reserved;
  /* rows of the table for the pass' token ids: [n, d] */
  gist_tensor (*embedding)(gist_pass* pass, int32_t table);
  /* x[n, k] w[m, k]^T + bias[m]: [n, m]; bias GIST_NONE: none */
  gist_tensor (*linear)(gist_pass* pass, gist_tensor x, int32_t weight, int32_t bias);
  /* x / sqrt(mean(x^2) + eps) * (weight_offset + weight). A weight of a fraction of x's width norms
   * each such group of columns by itself: one of key_dim values each head of keys or queries. */
  gist_tensor (*rms_norm)(gist_pass* pass, gist_tensor x, int32_t weight, float eps,
                          float weight_offset);
  gist_tensor (*add)(gist_pass* pass, gist_tensor a, gist_tensor b);
  /* activation(gate) * up; GIST_ACTIVATION_* */
  gist_tensor (*gated_activation)(gist_pass* pass, uint32_t activation, gist_tensor gate,
                                  gist_tensor up);
  /* Attention: exactly once in each call of `layer` to itself, and in a stack that reads another,
   * exactly once to that. q [n, heads * key_dim], k [m, kv_heads * key_dim], v [m, kv_heads *
   * value_dim], before any rotation, for the stack's own n tokens (self: m = n) or made of
   * cross_input. Returns [n, heads * value_dim]. T5's relative bias (Raffel et al. 2020) is
   * two-sided in a bidirectional stack. */
  gist_tensor (*attention)(gist_pass* pass, gist_tensor q, gist_tensor k, gist_tensor v,
                           const gist_attention* attention);
  /* activation(x); GIST_ACTIVATION_* */
  gist_tensor (*activation)(gist_pass* pass, uint32_t activation, gist_tensor x);
  /* x with a share of its values zeroed and the rest scaled up, in training; else x */
  gist_tensor (*dropout)(gist_pass* pass, gist_tensor x, float probability);
  /* In a stack that reads another: the rows [m, d_model] of that one's output whose keys and values
   * this pass is to make. They may be none: the host keeps those of earlier passes. */
  gist_tensor (*cross_input)(gist_pass* pass);
  /* (x - mean(x)) / sqrt(variance(x) + eps) * weight + bias; GIST_NONE: no weight, no bias */
  gist_tensor (*layer_norm)(gist_pass* pass, gist_tensor x, int32_t weight, int32_t bias,
                            float eps);
  /* factor * x */
  gist_tensor (*scale)(gist_pass* pass, gist_tensor x, float factor);
  /* x[:, first : first + width], and beside it further blocks, each `stride` columns after the one
   * before: [n, blocks * width]. Of a product that is stored as one matrix, its parts. */
  gist_tensor (*columns)(gist_pass* pass, gist_tensor x, int64_t first, int64_t width,
                         int64_t blocks, int64_t stride);
  /* rows of the table for the positions of the pass' tokens: [n, d]. The table has max_positions
   * rows or more, and key_position is GIST_KEYS_ABSOLUTE. */
  gist_tensor (*position_embedding)(gist_pass* pass, int32_t table);
  /* Fails the callback with a message of the plugin's; it is copied. Returns the poisoned tensor.
   */
  gist_tensor (*fail)(gist_pass* pass, const char* message);
  /* An optional feature by its name and revision ("gist.moe.1"), or NULL where the host lacks it.
   */
  const void* (*extension)(const char* name);
} gist_ops;

/* ---- mixtures of experts ---- */

/* The extension "gist.moe.1": each row of x [n, d] goes to k of several experts, and is computed by
 * these alone. The copies of the rows, [n k, width], stand grouped by expert; operations that work
 * row by row take them like other tensors. A routing is the tensor [n, k] that top_k_routing
 * returned: how much a row's experts count. */
#define GIST_MOE_1 "gist.moe.1"

typedef struct gist_moe {
  uint32_t size;
  uint32_t reserved;
  /* The k experts of each row whose logits[n, experts] are the largest. They count by their
   * softmax over all experts, which `normalised` (0 or 1) divides by the sum of those chosen. */
  gist_tensor (*top_k_routing)(gist_pass* pass, gist_tensor logits, int32_t k, uint32_t normalised);
  /* copies of x's rows for their experts: [n k, d] */
  gist_tensor (*rows_by_expert)(gist_pass* pass, gist_tensor x, gist_tensor routing);
  /* x[n k, d] w[m, d]^T with the weight of each row's expert: [n k, m]. The weights are as many
   * matrices of one shape as there are experts; the array is read before the call returns. */
  gist_tensor (*expert_linear)(gist_pass* pass, gist_tensor x, gist_tensor routing,
                               const int32_t* weights, uint32_t n_weights);
  /* the sum of each row's k copies in x[n k, d], times what their experts count: [n, d] */
  gist_tensor (*mixed_rows)(gist_pass* pass, gist_tensor x, gist_tensor routing);
} gist_moe;

/* ---- family and plugin ---- */

/* Callbacks are pure: called again with the same arguments they give the same tensors, for the host
 * may recompute a layer. `self` is the gist_model.self that `configure` left; `stack` indexes
 * gist_model.stacks. */
typedef struct gist_family {
  uint32_t size;
  uint32_t n_architectures;
  const char* id;                   /* "llama": [a-z0-9_-]+ */
  const char* const* architectures; /* as in config.json */
  /* Reads the configuration, allocates a model and fills it in. Any thread. Returns GIST_OK, or
   * rejects with a message and returns GIST_FAILED or GIST_DECLINED; then nothing stays allocated.
   */
  gist_status (*configure)(const gist_config_host* host, const gist_config* config,
                           gist_model* model);
  /* Once for each model that `configure` made. Any thread. */
  void (*destroy)(void* self);
  /* Each returns a tensor [n, d_model] of this pass. Token ids to the hidden states [n, d_model]
   * that enter layer 0. */
  gist_tensor (*enter)(void* self, const gist_ops* ops, gist_pass* pass, int32_t stack);
  gist_tensor (*layer)(void* self, const gist_ops* ops, gist_pass* pass, int32_t stack,
                       int32_t layer, gist_tensor hidden);
  /* The last layer's output to what the head reads. */
  gist_tensor (*leave)(void* self, const gist_ops* ops, gist_pass* pass, int32_t stack,
                       gist_tensor hidden);
} gist_family;

/* The exported symbol. Its first five fields never change, so that they can be read before anything
 * else is believed. Families are walked by their own `size`. */
typedef struct gist_plugin_info {
  uint32_t magic; /* GIST_PLUGIN_MAGIC */
  uint16_t abi_major;
  uint16_t abi_minor;
  uint32_t size;
  uint32_t n_families;
  const gist_family* families;
  const char* name;    /* as in the manifest */
  const char* version; /* of the plugin, for `gist plugins list` */
} gist_plugin_info;

#if defined(__GNUC__)
#define GIST_EXPORT __attribute__((visibility("default")))
#else
#define GIST_EXPORT
#endif

/* Defined by each plugin, as constant data: it is read before any of the plugin's code is called.
 */
extern GIST_EXPORT const gist_plugin_info gist_plugin;

#ifdef __cplusplus
}
#endif

#endif /* GIST_PLUGIN_H */
