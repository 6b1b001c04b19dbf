// The entries of the table for CUDA devices. Each returns nothing where it has no kernel for these sizes.
#pragma once

#include "launch.h"

namespace ctorch::cuda {

at::Tensor rotate_heads(const at::Tensor &x, const at::Tensor &cosine, const at::Tensor &sine, bool interleaved,
                        double scale);
variable_list chunkwise_retention(const at::Tensor &q, const at::Tensor &k, const at::Tensor &v, const at::Tensor &state,
                                  const std::vector<double> &log_gammas, int64_t chunk, bool keeps_state);
at::Tensor retention_step(const at::Tensor &q, const at::Tensor &k, const at::Tensor &v, at::Tensor &state,
                          const double *log_gammas, int64_t heads);
at::Tensor retention_decode(const RetentionDecode &step, at::Tensor &state);
variable_list gated_retention(const at::Tensor &q, const at::Tensor &k, const at::Tensor &v, const at::Tensor &log_gates,
                              const at::Tensor &state, int64_t chunk);
at::Tensor head_norm(const at::Tensor &x, const at::Tensor &gate, const at::Tensor &epsilons, const at::Tensor &weight,
                     const at::Tensor &bias, ct_norm_kind kind, ct_activation activation);
variable_list residual_norm(const at::Tensor &x, const at::Tensor &branch, const at::Tensor &weight, const at::Tensor &bias,
                            double epsilon, at::ScalarType type);
at::Tensor gated_activation(const at::Tensor &a, const at::Tensor &b, ct_activation activation);
variable_list token_loss(const at::Tensor &logits, const at::Tensor &targets);
variable_list combine(const variable_list &inputs, const at::Tensor &p, const at::Tensor &g,
                      const std::vector<double> &constants, int64_t active, StreamWeights weights);

} // namespace ctorch::cuda
