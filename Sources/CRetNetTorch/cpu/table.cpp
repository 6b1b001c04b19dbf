// The operators that have kernels for processors.
#include "operators.h"

namespace ctorch {
namespace {

constexpr uint32_t kReal = 1u << CT_FLOAT32 | 1u << CT_FLOAT64;
constexpr uint32_t kAll = kReal | 1u << CT_BFLOAT16;

constexpr std::array<uint32_t, CT_OPERATOR_COUNT> element_types() {
  std::array<uint32_t, CT_OPERATOR_COUNT> types{};
  types.fill(kAll);
  types[CT_OP_DIAGONAL_STEP] = kReal;
  types[CT_OP_ADAMW] = kReal;
  return types;
}

} // namespace

const DeviceOperators cpu_operators = {
    .types = element_types(),
    .rotate_heads = cpu::rotate_heads,
    .retention = &cpu::retention,
    .chunkwise_retention = cpu::chunkwise_retention,
    .retention_layer = cpu::retention_layer,
    .retention_step = cpu::retention_step,
    .few_rows = cpu::few_rows,
    .head_norm = cpu::head_norm,
    .gated_activation = cpu::gated_activation,
    .residual_norm = cpu::residual_norm,
    .residual_add = cpu::residual_add,
    .embedding = cpu::embedding,
    .token_loss = cpu::token_loss,
    .output_loss = cpu::output_loss,
    .attention = cpu::attention,
    .attention_steps = cpu::attention_steps,
    .distance_attention = cpu::distance_attention,
    .distance_attention_step = cpu::distance_attention_step,
    .combine = cpu::combine,
    .sequence_altup = cpu::sequence_altup,
    .dispatch = cpu::dispatch,
    .collect = cpu::collect,
    .convolution = &cpu::convolution,
    .short_convolution = cpu::short_convolution,
    .wkv = cpu::wkv,
    .biased_window = cpu::biased_window,
    .gated_retention = cpu::gated_retention,
    .channel_gates = cpu::channel_gates,
    .delta_rule = cpu::delta_rule,
    .matrix_recurrence = cpu::matrix_recurrence,
    .diagonal_heads = cpu::diagonal_heads,
    .diagonal_heads_step = cpu::diagonal_heads_step,
    .diagonal_step = cpu::diagonal_step,
    .adamw = cpu::adamw,
};

} // namespace ctorch
