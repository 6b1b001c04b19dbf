// The rules of kernels over rows, tokens and streams, as in retention_rules.h. A rule that takes its arguments by reference
// completes them.
#pragma once

#include "retention_rules.h"

namespace retnet::device {

inline bool is_aligned(const void *data, int64_t stride = 0) {
  return (reinterpret_cast<uintptr_t>(data) | static_cast<uintptr_t>(stride)) % 16 == 0;
}

// In addition to the kernel's: `scratch` must have B H V floats and `counters` B H zeros where there is a norm.
inline bool decode_step_kernel(const DecodeStepArguments &a, Element type, const Limits &, Kernel &kernel) {
  int64_t rows = int64_t(a.batch) * a.heads;
  if (a.key_size < 1 || a.key_size > 1024 || (a.cosine && a.key_size % 2) || a.value_size < 1 || rows < 1 ||
      rows > 65535 || a.heads > kMaximumHeads || !is_aligned(a.state))
    return false;
  name_kernel(kernel, "decode.cuh", "DecodeStep<%s, %d>", element_name(type), a.key_size);
  kernel.shape = {{quotient_up(a.value_size, kDecodeTile), static_cast<int32_t>(rows), 1},
                  kDecodeThreads,
                  decode_shared_bytes(a.key_size)};
  return true;
}

inline const char *activation_name(int32_t activation) {
  static constexpr const char *kNames[] = {"kIdentity", "kSwish", "kGelu", "kRelu", "kGeluTanh"};
  return activation >= 0 && activation <= kGeluTanh ? kNames[activation] : kNames[0];
}

// Elements of a row per thread: a power of two, so that few sizes are compiled.
inline int32_t norm_columns(int32_t size) {
  int32_t columns = 2;
  while (columns * norm_row_threads(size) < size)
    columns *= 2;
  return columns;
}

inline bool head_norm_kernel(const HeadNormArguments &a, Element type, const Limits &, Kernel &kernel) {
  int32_t columns = norm_columns(a.size), row_threads = norm_row_threads(a.size);
  int64_t blocks = (int64_t(a.batch) * a.heads * a.time * row_threads + kNormThreads - 1) / kNormThreads;
  if (a.size < 1 || columns > 32 || blocks < 1 || blocks > INT32_MAX || a.epsilon_count < 1)
    return false;
  name_kernel(kernel, "head_norm.cuh", "HeadNorm<%s, %d, %d, %s>", element_name(type), columns, row_threads,
              activation_name(a.gate ? a.activation : kIdentity));
  kernel.shape = {{static_cast<int32_t>(blocks), 1, 1}, kNormThreads, norm_shared_bytes(columns, row_threads, false)};
  return true;
}

// How many partial sums of d_weight and d_bias there are: `parts` of the gradient's arguments.
inline int32_t head_norm_parts(const HeadNormArguments &a, const Limits &limits) {
  int64_t rows = int64_t(a.batch) * a.time;
  int64_t wanted = quotient_up(4 * int64_t(limits.multiprocessors), std::max(a.heads, 1));
  return static_cast<int32_t>(std::clamp<int64_t>(wanted, 1, std::max<int64_t>(rows, 1)));
}

inline bool head_norm_gradient_kernel(const HeadNormArguments &a, Element type, const Limits &, Kernel &kernel) {
  int32_t columns = norm_columns(a.size), row_threads = norm_row_threads(a.size);
  if (a.size < 1 || columns > 16 || a.parts < 1 || a.heads < 1 || a.heads > 65535 || a.epsilon_count < 1)
    return false;
  name_kernel(kernel, "head_norm.cuh", "HeadNormGradient<%s, %d, %d, %s>", element_name(type), columns,
              row_threads, activation_name(a.gate ? a.activation : kIdentity));
  kernel.shape = {{a.parts, a.heads, 1}, kNormThreads, norm_shared_bytes(columns, row_threads, true)};
  return true;
}

// The type of the stream is that of branches, or float32.
inline bool residual_norm_kernel(const ResidualNormArguments &a, Element type, Element stream, const Limits &,
                                 Kernel &kernel) {
  int32_t columns = norm_columns(a.size), row_threads = norm_row_threads(a.size);
  int64_t blocks = (a.rows * row_threads + kNormThreads - 1) / kNormThreads;
  if (a.size < 1 || columns > 32 || blocks < 1 || blocks > INT32_MAX || (stream != type && stream != Element::f32))
    return false;
  name_kernel(kernel, "residual.cuh", "ResidualNorm<%s, %s, %d, %d>", element_name(type), element_name(stream), columns,
              row_threads);
  kernel.shape = {{static_cast<int32_t>(blocks), 1, 1}, kNormThreads, norm_shared_bytes(columns, row_threads, false)};
  return true;
}
// How many partial sums of d_weight there are: `parts` of the gradient's arguments.
inline int32_t residual_norm_parts(const ResidualNormArguments &a, const Limits &limits) {
  return static_cast<int32_t>(std::clamp<int64_t>(a.rows, 1, 2 * int64_t(limits.multiprocessors)));
}
inline bool residual_norm_gradient_kernel(const ResidualNormArguments &a, Element type, Element stream, const Limits &,
                                          Kernel &kernel) {
  int32_t columns = norm_columns(a.size), row_threads = norm_row_threads(a.size);
  if (a.size < 1 || columns > 32 || a.rows < 1 || a.parts < 1 || (stream != type && stream != Element::f32))
    return false;
  name_kernel(kernel, "residual.cuh", "ResidualNormGradient<%s, %s, %d, %d>", element_name(type), element_name(stream),
              columns, row_threads);
  kernel.shape = {{a.parts, 1, 1}, kNormThreads, norm_shared_bytes(columns, row_threads, true)};
  return true;
}

inline bool gated_activation_shape(GatedActivationArguments &a, Element type, bool is_backward, Kernel &kernel) {
  int64_t pieces = (a.count * element_bytes(type) + 15) / 16, blocks = (pieces + kElementThreads - 1) / kElementThreads;
  if (blocks < 1 || blocks > INT32_MAX)
    return false;
  a.aligned = is_aligned(a.a) && is_aligned(a.b);
  if (is_backward)
    a.aligned = a.aligned && is_aligned(a.d_out) && is_aligned(a.da) && is_aligned(a.db);
  else
    a.aligned = a.aligned && is_aligned(a.out);
  name_kernel(kernel, "residual.cuh", "GatedActivation%s<%s, %s>", is_backward ? "Gradient" : "",
              element_name(type), activation_name(a.activation));
  kernel.shape = {{static_cast<int32_t>(blocks), 1, 1}, kElementThreads, 0};
  return true;
}
inline bool gated_activation_kernel(GatedActivationArguments &a, Element type, const Limits &, Kernel &kernel) {
  return gated_activation_shape(a, type, false, kernel);
}
inline bool gated_activation_gradient_kernel(GatedActivationArguments &a, Element type, const Limits &, Kernel &kernel) {
  return gated_activation_shape(a, type, true, kernel);
}

inline bool rotate_heads_kernel(const RotateHeadsArguments &a, Element type, const Limits &, Kernel &kernel) {
  int64_t pairs = int64_t(a.batch) * a.time * a.heads * ((a.size + 1) / 2);
  int64_t blocks = (pairs + kRotateThreads - 1) / kRotateThreads;
  if (blocks < 1 || blocks > INT32_MAX || (a.cosine && a.size % 2))
    return false;
  name_kernel(kernel, "rotate.cuh", "RotateHeads<%s>", element_name(type));
  kernel.shape = {{static_cast<int32_t>(blocks), 1, 1}, kRotateThreads, 0};
  return true;
}

inline bool token_loss_kernel(TokenLossArguments &a, Element type, const Limits &, Kernel &kernel) {
  if (a.rows < 1 || a.size < 1)
    return false;
  a.aligned = is_aligned(a.logits, a.stride * element_bytes(type));
  name_kernel(kernel, "token_loss.cuh", "TokenLoss<%s>", element_name(type));
  kernel.shape = {{a.rows, 1, 1}, kLossThreads, kLossSharedBytes};
  return true;
}
inline bool token_loss_gradient_kernel(TokenLossArguments &a, Element type, const Limits &, Kernel &kernel) {
  if (a.rows < 1 || a.size < 1)
    return false;
  a.aligned = is_aligned(a.logits, a.stride * element_bytes(type)) &&
              is_aligned(a.d_logits, a.d_stride * element_bytes(type));
  name_kernel(kernel, "token_loss.cuh", "TokenLossGradient<%s>", element_name(type));
  kernel.shape = {{a.rows, 1, 1}, kLossThreads, 0};
  return true;
}

inline bool streams_are_aligned(const CombineArguments &a) {
  bool aligned = true;
  for (int32_t i = 0; i < a.inputs; i++)
    aligned = aligned && is_aligned(a.in[i]);
  for (int32_t i = 0; i < a.outputs; i++)
    aligned = aligned && is_aligned(a.out[i]);
  return aligned;
}
inline bool combine_fits(const CombineArguments &a) {
  return a.inputs >= 1 && a.inputs <= kMaximumStreams && a.outputs >= 1 && a.outputs <= kMaximumStreams && a.count >= 1;
}

inline bool combine_kernel(CombineArguments &a, Element type, const Limits &, Kernel &kernel) {
  int64_t pieces = (a.count * element_bytes(type) + 15) / 16, blocks = (pieces + kCombineThreads - 1) / kCombineThreads;
  if (!combine_fits(a) || blocks > INT32_MAX)
    return false;
  a.aligned = streams_are_aligned(a);
  name_kernel(kernel, "combine.cuh", "Combine<%s, %d, %d>", element_name(type), a.inputs, a.outputs);
  kernel.shape = {{static_cast<int32_t>(blocks), 1, 1}, kCombineThreads, 0};
  return true;
}

// How many partial sums there are: `parts` of the gradient's arguments.
inline int32_t combine_parts(const CombineArguments &a, const Limits &limits) {
  return static_cast<int32_t>(std::clamp<int64_t>(a.count / 4096, 1, 2 * limits.multiprocessors));
}
inline bool combine_gradient_kernel(CombineArguments &a, Element type, const Limits &, Kernel &kernel) {
  if (!combine_fits(a) || a.parts < 1)
    return false;
  a.aligned = streams_are_aligned(a);
  name_kernel(kernel, "combine.cuh", "CombineGradient<%s, %d, %d>", element_name(type), a.inputs, a.outputs);
  kernel.shape = {{a.parts, 1, 1}, kCombineThreads, combine_shared_bytes(a.inputs, a.outputs)};
  return true;
}

} // namespace retnet::device
