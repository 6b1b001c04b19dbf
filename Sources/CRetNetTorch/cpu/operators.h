// The entries of the table for processors.
#pragma once

#include "../ops/node.h"
#include "../ops/table.h"

namespace ctorch::cpu {

// Slices into which steps cut the columns of `count` states of `columns` columns, at least `narrowest` wide. Columns are
// independent, so one sequence with few heads still uses every core; with states enough for all threads there is one
// slice, since whole rows, one after the other, come faster from memory.
inline int64_t column_slices(int64_t count, int64_t columns, int64_t narrowest) {
  return count >= 8 * thread_count() ? 1 : std::max<int64_t>(1, std::min<int64_t>(columns / narrowest, 8));
}

// total[n] = factors[n] total[n] + addend[n] in one pass, in place: total [N, ...] in the accumulator type of the addend, factors [N] in
// it too, or undefined for 1.
void accumulate(const at::Tensor &total, const at::Tensor &factors, const at::Tensor &addend);

at::Tensor rotate_heads(const at::Tensor &x, const at::Tensor &cosine, const at::Tensor &sine, bool interleaved,
                        double scale);
variable_list chunkwise_retention(const at::Tensor &query, const at::Tensor &key, const at::Tensor &value,
                                  const at::Tensor &state_in, const std::vector<double> &log_gammas, int64_t chunk,
                                  bool keeps_state);
variable_list retention_layer(const RetentionLayer &layer);
at::Tensor retention_step(const at::Tensor &q, const at::Tensor &k, const at::Tensor &v, at::Tensor &state,
                          const double *log_gammas, int64_t heads);
at::Tensor few_rows(const at::Tensor &x, const at::Tensor &weight, const at::Tensor &bias);
at::Tensor head_norm(const at::Tensor &x, const at::Tensor &gate, const at::Tensor &epsilons,
                     const at::Tensor &weight, const at::Tensor &bias, ct_norm_kind kind, ct_activation activation);
at::Tensor gated_activation(const at::Tensor &a, const at::Tensor &b, ct_activation activation);
variable_list residual_norm(const at::Tensor &x, const at::Tensor &branch, const at::Tensor &weight,
                            const at::Tensor &bias, double epsilon, at::ScalarType type);
at::Tensor residual_add(const at::Tensor &x, const at::Tensor &branch);
at::Tensor embedding(const at::Tensor &weight, const at::Tensor &indices, double scale, at::ScalarType type);
variable_list token_loss(const at::Tensor &logits, const at::Tensor &targets);
variable_list output_loss(const OutputLoss &arguments);
at::Tensor attention(const at::Tensor &q, const at::Tensor &k, const at::Tensor &v, const std::vector<int64_t> &past,
                     double scale, int64_t tile);
at::Tensor attention_steps(const at::Tensor &q, const at::Tensor &k, const at::Tensor &v,
                           const std::vector<int64_t> &past, double scale);
at::Tensor distance_attention(const DistanceAttention &arguments);
at::Tensor distance_attention_step(const at::Tensor &q, const at::Tensor &keys, const at::Tensor &values,
                                   const at::Tensor &bias, const at::Tensor &segments, int64_t count);
variable_list combine(const variable_list &inputs, const at::Tensor &p, const at::Tensor &g,
                      const std::vector<double> &constants, int64_t active, StreamWeights weights);
variable_list sequence_altup(const at::Tensor &x, const at::Tensor &layer_output, const at::Tensor &anchor,
                             const at::Tensor &innovation, const at::Tensor &coefficients, int64_t first,
                             int64_t stride);
at::Tensor dispatch(const at::Tensor &x, const at::Tensor &slot_tokens);
at::Tensor collect(const at::Tensor &rows, const at::Tensor &gates, const at::Tensor &slot_tokens, int64_t tokens);
variable_list wkv(const at::Tensor &key, const at::Tensor &value, const at::Tensor &decay, const at::Tensor &bonus,
                  const RunningTensors &sums);
variable_list biased_window(const at::Tensor &key, const at::Tensor &value, const at::Tensor &bias,
                            const at::Tensor &past_key, const at::Tensor &past_value, const RunningTensors &sums,
                            const WindowPlan &plan);
variable_list gated_retention(const at::Tensor &q, const at::Tensor &k, const at::Tensor &v,
                              const at::Tensor &log_gates, const at::Tensor &state, int64_t chunk);
variable_list channel_gates(const at::Tensor &q, const at::Tensor &k, const at::Tensor &v,
                            const at::Tensor &log_gates, const at::Tensor &state, int64_t chunk);
variable_list delta_rule(const at::Tensor &q, const at::Tensor &k, const at::Tensor &v, const at::Tensor &log_gates,
                         const at::Tensor &beta, const at::Tensor &state, int64_t chunk, bool trains);
at::Tensor matrix_recurrence(const at::Tensor &q, const at::Tensor &k, const at::Tensor &v,
                             const at::Tensor &log_gates, const at::Tensor &beta, at::Tensor &state);
variable_list diagonal_heads(const at::Tensor &q, const at::Tensor &k, const at::Tensor &v, const HeadTables &tables,
                             const at::Tensor &state, int64_t chunk, bool keeps_state);
at::Tensor diagonal_heads_step(const at::Tensor &q, const at::Tensor &k, const at::Tensor &v, const at::Tensor &state,
                               const at::Tensor &alpha, const at::Tensor &input, const at::Tensor &readout,
                               const at::Tensor &skip);
at::Tensor diagonal_step(const at::Tensor &u, const at::Tensor &state, const at::Tensor &alpha,
                         const at::Tensor &input, const at::Tensor &readout);
variable_list short_convolution(const at::Tensor &x, const at::Tensor &weight, const at::Tensor &bias,
                                const at::Tensor &ring, ct_activation activation);
void adamw(const AdamWStep &step);
extern const RetentionSteps retention;
extern const ConvolutionSteps convolution;

} // namespace ctorch::cpu
