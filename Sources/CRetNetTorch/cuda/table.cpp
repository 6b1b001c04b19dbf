// The operators that have kernels for CUDA devices.
#include "operators.h"

namespace ctorch {
namespace {

// The widest of these is also the accumulator type of all.
constexpr uint32_t kKernelTypes = 1u << CT_FLOAT32 | 1u << CT_BFLOAT16 | 1u << CT_FLOAT16;

constexpr std::array<uint32_t, CT_OPERATOR_COUNT> kernel_types() {
  std::array<uint32_t, CT_OPERATOR_COUNT> types{};
  for (auto op : {CT_OP_ROTATE_HEADS, CT_OP_RETENTION, CT_OP_RETENTION_STEP, CT_OP_HEAD_NORM, CT_OP_GATED_ACTIVATION,
                  CT_OP_RESIDUAL_NORM, CT_OP_TOKEN_LOSS, CT_OP_ALTUP, CT_OP_GATED_RETENTION})
    types[op] = kKernelTypes;
  return types;
}

} // namespace

const DeviceOperators cuda_operators = {
    .types = kernel_types(),
    .rotate_heads = cuda::rotate_heads,
    .chunkwise_retention = cuda::chunkwise_retention,
    .retention_step = cuda::retention_step,
    .retention_decode = cuda::retention_decode,
    .head_norm = cuda::head_norm,
    .gated_activation = cuda::gated_activation,
    .residual_norm = cuda::residual_norm,
    .token_loss = cuda::token_loss,
    .combine = cuda::combine,
    .gated_retention = cuda::gated_retention,
};

} // namespace ctorch
