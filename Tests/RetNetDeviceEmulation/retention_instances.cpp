// The scans that tests run.
#include "machine.h"
#include "scan.cuh"
#include "segments.cuh"

namespace retnet::device {
namespace {

using emulation::Registration;

#define REGISTER(name, ...) static const Registration<__VA_ARGS__> name(#__VA_ARGS__);
// The scans of a size and those of its gradients by queries and keys, whose keys are the values.
#define SIZES(name, type, keys, tile, chunk, stages, gradient_keys, gradient_tile, gradient_chunk, gradient_stages, ...) \
  REGISTER(name##_forward, Scan<type, keys, tile, chunk, stages, kForward __VA_ARGS__>)                               \
  REGISTER(name##_value, Scan<type, keys, tile, chunk, stages, kReverse __VA_ARGS__>)                                 \
  REGISTER(name##_query,                                                                                              \
           Scan<type, gradient_keys, gradient_tile, gradient_chunk, gradient_stages, kForward __VA_ARGS__>)           \
  REGISTER(name##_key, Scan<type, gradient_keys, gradient_tile, gradient_chunk, gradient_stages, kReverse __VA_ARGS__>)
// The scans for states of segments.
#define STATES(name, type, keys, tile, chunk, stages, ...)                                                            \
  REGISTER(name##_after, Scan<type, keys, tile, chunk, stages, kForward __VA_ARGS__ | kStates>)                       \
  REGISTER(name##_before, Scan<type, keys, tile, chunk, stages, kReverse __VA_ARGS__ | kStates>)

REGISTER(join, JoinSegments)
REGISTER(gates, GateGradient)

SIZES(float_16, float, 16, 32, 32, 2, 32, 16, 32, 2)
SIZES(float_64, float, 64, 64, 32, 2, 128, 64, 32, 2)
SIZES(float_256, float, 256, 64, 32, 2, 512, 64, 32, 1)
SIZES(float_32, float, 32, 64, 32, 2, 48, 32, 32, 2)
SIZES(float_32_64, float, 32, 64, 32, 2, 64, 32, 32, 2)
SIZES(bf16_16, bf16, 16, 32, 64, 2, 32, 16, 64, 2)
SIZES(bf16_64, bf16, 64, 64, 64, 2, 128, 64, 64, 2)
SIZES(bf16_128, bf16, 128, 64, 64, 2, 256, 64, 64, 2)
SIZES(bf16_256, bf16, 256, 64, 64, 2, 512, 64, 32, 2)
SIZES(bf16_32, bf16, 32, 64, 64, 2, 48, 32, 64, 2)
SIZES(f16_64, f16, 64, 64, 64, 2, 128, 64, 64, 2)
// Many heads, and little shared memory.
SIZES(bf16_wide, bf16, 64, 128, 64, 2, 128, 64, 64, 2)
SIZES(bf16_wide_256, bf16, 256, 128, 64, 2, 256, 128, 64, 2)
SIZES(bf16_small, bf16, 256, 64, 32, 2, 512, 64, 32, 1)
SIZES(float_gates, float, 16, 32, 32, 2, 32, 16, 32, 2, | kGated)
SIZES(bf16_gates, bf16, 64, 64, 64, 2, 64, 64, 64, 2, | kGated)
STATES(float_16, float, 16, 32, 32, 2)
STATES(bf16_64, bf16, 64, 64, 64, 2)
STATES(float_gates, float, 16, 32, 32, 2, | kGated)

} // namespace
} // namespace retnet::device
