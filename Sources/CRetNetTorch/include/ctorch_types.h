// Handles, status codes and enumerations of the interface.
#ifndef CTORCH_TYPES_H
#define CTORCH_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct ct_tensor_box *ct_tensor;
typedef struct ct_generator_box *ct_generator;
typedef int32_t ct_status;

typedef enum {
  CT_OK = 0,
  CT_ERROR_OUT_OF_MEMORY = 1,
  CT_ERROR_INDEX = 2,
  CT_ERROR_VALUE = 3,
  CT_ERROR_TYPE = 4,
  CT_ERROR_NOT_IMPLEMENTED = 5,
  CT_ERROR_LIBTORCH = 6,
  CT_ERROR_OTHER = 7,
  CT_ERROR_CALLBACK = 8,
} ct_error_kind;

// Element types; the values are this interface's own.
typedef enum {
  CT_UINT8 = 0,
  CT_INT8 = 1,
  CT_INT16 = 2,
  CT_INT32 = 3,
  CT_INT64 = 4,
  CT_FLOAT16 = 5,
  CT_BFLOAT16 = 6,
  CT_FLOAT32 = 7,
  CT_FLOAT64 = 8,
  CT_BOOL = 9,
  CT_OTHER_TYPE = 10,
} ct_dtype;

typedef enum { CT_CPU = 0, CT_CUDA = 1, CT_MPS = 2 } ct_device_kind;

typedef enum {
  CT_NEG, CT_ABS, CT_EXP, CT_EXPM1, CT_LOG, CT_LOG1P, CT_SQRT, CT_RSQRT, CT_SIN, CT_COS, CT_TANH, CT_SIGMOID,
  CT_SILU, CT_GELU, CT_RELU, CT_RECIPROCAL, CT_IS_FINITE, CT_LOGICAL_NOT, CT_SOFTPLUS,
} ct_unary;
typedef enum {
  CT_ADD, CT_SUB, CT_MUL, CT_DIV, CT_MAXIMUM, CT_MINIMUM, CT_POW, CT_LT, CT_LE, CT_GT, CT_GE, CT_EQ, CT_NE,
  CT_REMAINDER,
} ct_binary;
typedef enum { CT_SUM, CT_MEAN, CT_AMAX, CT_AMIN } ct_reduction;

// Reduction of a loss: none (one number per row), the mean over rows that count, or their sum.
typedef enum { CT_LOSS_PER_ROW = 0, CT_LOSS_MEAN = 1, CT_LOSS_SUM = 2 } ct_loss_reduction;

typedef enum {
  CT_ACTIVATION_NONE = 0,
  CT_ACTIVATION_SWISH = 1,
  CT_ACTIVATION_GELU = 2,
  CT_ACTIVATION_RELU = 3,
  CT_ACTIVATION_GELU_TANH = 4,
} ct_activation;

typedef enum { CT_NORM_RMS = 1, CT_NORM_LAYER = 2 } ct_norm_kind;

// Tokens choose experts and places are given by position, or by probability; or experts choose tokens.
typedef enum { CT_ROUTING_BY_POSITION = 0, CT_ROUTING_BY_PRIORITY = 1, CT_ROUTING_BY_EXPERT = 2 } ct_routing_order;

// Long convolutions: the faster method, direct sums, or products of spectra.
typedef enum {
  CT_CONVOLUTION_AUTOMATIC = 0,
  CT_CONVOLUTION_DIRECT = 1,
  CT_CONVOLUTION_SPECTRAL = 2,
} ct_convolution_method;

// Operators for which a device can have kernels of its own (ops/table.h). The comment names the form that runs elsewhere.
typedef enum {
  CT_OP_ROTATE_HEADS,          // a chain of ATen operators
  CT_OP_RETENTION,             // ATen operators in the same graph node
  CT_OP_RETENTION_STEP,        // a chain
  CT_OP_FEW_ROWS,              // LibTorch's product; part of ct_linear
  CT_OP_HEAD_NORM,             // a chain; also ct_rms_norm
  CT_OP_GATED_ACTIVATION,      // a chain
  CT_OP_RESIDUAL_NORM,         // a chain; also ct_residual_add
  CT_OP_TOKEN_LOSS,            // a chain
  CT_OP_OUTPUT_LOSS,           // ct_linear and ct_token_loss in Swift
  CT_OP_EMBEDDING,             // a chain
  CT_OP_ATTENTION,             // LibTorch's attention; also ct_attention_steps
  CT_OP_DISTANCE_ATTENTION,    // a chain; also its step
  CT_OP_ALTUP,                 // a chain; ct_altup_mix, ct_altup_predict, ct_combine
  CT_OP_SEQUENCE_ALTUP,        // a chain
  CT_OP_EXPERTS,               // a chain; ct_dispatch, ct_collect
  CT_OP_SHORT_CONVOLUTION,     // ATen operators in the same graph node; in training only
  CT_OP_LONG_CONVOLUTION,      // spectra by ATen operators in the same graph node
  CT_OP_WKV,                   // the parallel form in Swift
  CT_OP_BIASED_WINDOW,         // the recurrent form in Swift
  CT_OP_GATED_RETENTION,       // the chunkwise form in Swift
  CT_OP_MATRIX_STATE,          // the chunkwise or recurrent form in Swift; gates of channels, the delta rule, steps of all
  CT_OP_DIAGONAL_HEADS,        // the expanded form in Swift; also its step
  CT_OP_DIAGONAL_STEP,         // the recurrent form in Swift
  CT_OP_ADAMW,                 // LibTorch's fused step
  CT_OPERATOR_COUNT,
} ct_operator;

// Parts of a training step whose time is taken (library/profile.h).
typedef enum {
  CT_PART_OTHER,
  CT_PART_EMBEDDING,
  CT_PART_NORMS,        // norms of blocks, and residual sums
  CT_PART_MIXER,        // maps into and out of mixers, rotation, and what is in none of the next two
  CT_PART_CORE,         // retention, attention, recurrences, convolutions
  CT_PART_GATES,        // head norms, gates and activations
  CT_PART_FEED_FORWARD,
  CT_PART_OUTPUT,       // output matrix and loss
  CT_PART_OPTIMIZER,    // norm of the gradients, clipping, update
  CT_PART_COUNT,
} ct_part;

#endif
