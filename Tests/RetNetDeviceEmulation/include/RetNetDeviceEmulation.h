// Runs the kernels for devices on the processor, thread by thread, and compares them with their definitions in float64.
//
// Every function returns null, or what went wrong; the text stays valid until the next call of the thread.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum { RDE_FLOAT32 = 0, RDE_BFLOAT16 = 1, RDE_FLOAT16 = 2 } rde_element;

typedef enum {
  RDE_HEADS_FIRST = 0,  // [B, H, T, X]
  RDE_TOKENS_FIRST = 1, // [B, T, H, X], as the layers have it
  RDE_UNALIGNED = 2,    // rows that do not begin at multiples of 16 bytes
} rde_layout;

// A made-up device.
typedef struct {
  int32_t architecture, multiprocessors, shared_bytes;
} rde_device;

// In which order blocks, warps and lanes run: 0 ascending, 1 descending, from 2 on at random.
typedef int32_t rde_order;

typedef struct {
  rde_element element;
  int32_t batch, heads, groups, time, key_size, value_size;
  bool gated, has_state; // a state comes in
  bool keeps_state;      // one goes out, and has a gradient
  double first_gamma, last_gamma;
  rde_layout layout;
  rde_device device;
  rde_order order;
} rde_retention;

// What a comparison found.
typedef struct {
  double worst;      // of the relative errors of all results, by Euclid's norm over a tensor
  char of[24];       // the result that has it
  double gate_error; // of the gradient of gates, which is not in `worst`
  uint64_t bits;     // a hash of all results
  int32_t launches;  // of kernels
} rde_outcome;

const char *rde_check_retention(const rde_retention *shape, bool backward, rde_outcome *outcome);

// The largest relative difference between the gradients of the definition and central differences of it, for a small case.
double rde_definition_error(bool gated);

typedef struct {
  rde_element element;
  int32_t batch, heads, groups, key_size, value_size;
  int32_t rotation;   // 0 none, 1 neighbors, 2 halves
  bool shared_angles; // all sequences are at one position
  bool gated;         // a decay per sequence and head
  bool has_gate, has_affine;
  int32_t norm, activation;  // as ct_norm_kind (0: none) and ct_activation
  int32_t epsilon_count;     // 1, heads or batch * heads
  rde_order order;
} rde_decode;

// Two steps after each other.
const char *rde_check_decode(const rde_decode *shape, rde_outcome *outcome);

typedef struct {
  rde_element element;
  int32_t batch, heads, time, size;
  bool has_gate, has_affine;
  int32_t norm, activation;
  int32_t epsilon_count; // 1, heads * time or batch * heads * time
  rde_order order;
} rde_head_norm;

const char *rde_check_head_norm(const rde_head_norm *shape, rde_outcome *outcome);

// Heads [B, T, H, A] to [B, H, T, A] and back.
const char *rde_check_rotation(rde_element element, int32_t batch, int32_t time, int32_t heads, int32_t size,
                               int32_t rotation, bool shared_angles, rde_order order, rde_outcome *outcome);

const char *rde_check_token_loss(rde_element element, int32_t rows, int32_t size, bool aligned, rde_order order,
                                 rde_outcome *outcome);

const char *rde_check_combine(rde_element element, int32_t inputs, int32_t outputs, int32_t count, bool aligned,
                              rde_order order, rde_outcome *outcome);

typedef struct {
  rde_element element;
  bool wide_stream; // float32 under the element type
  bool has_branch;
  int32_t rows, size;
  rde_order order;
} rde_residual_norm;

const char *rde_check_residual_norm(const rde_residual_norm *shape, rde_outcome *outcome);

const char *rde_check_gated_activation(rde_element element, int32_t count, int32_t activation, bool has_gate,
                                       bool aligned, rde_order order, rde_outcome *outcome);

// Runs a launch as the host asks for it, in ascending order.
const char *rde_launch(const char *kernel, const int32_t *grid, int32_t threads, int32_t shared_bytes,
                       const void *arguments);
// How many of them this thread has run.
int64_t rde_launch_count(void);

// What happens with kernels that miss a barrier, take different ways within a warp, or write past their shared memory; for
// the tests of the emulation itself. Returns null where all of them were found.
const char *rde_check_emulation(void);

#ifdef __cplusplus
}
#endif
