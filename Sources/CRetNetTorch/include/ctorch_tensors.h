// Tensors: creation, shapes, mathematics, automatic differentiation, random numbers, optimizer steps (tensors/).
#ifndef CTORCH_TENSORS_H
#define CTORCH_TENSORS_H

#include "ctorch_types.h"

#ifdef __cplusplus
extern "C" {
#endif

// ---- Handles and creation (create.cpp) ----
void ct_tensor_free(ct_tensor t);
ct_status ct_tensor_retain(ct_tensor *out, ct_tensor t);
ct_status ct_empty(ct_tensor *out, const int64_t *shape, int32_t rank, ct_dtype dtype, ct_device_kind device,
                   int32_t index);
ct_status ct_full(ct_tensor *out, const int64_t *shape, int32_t rank, double value, ct_dtype dtype,
                  ct_device_kind device, int32_t index);
ct_status ct_arange(ct_tensor *out, double start, double end, double step, ct_dtype dtype, ct_device_kind device,
                    int32_t index);
// Copies `byte_count` bytes from host memory; the count must equal shape x element size.
ct_status ct_from_bytes(ct_tensor *out, const void *bytes, int64_t byte_count, const int64_t *shape, int32_t rank,
                        ct_dtype dtype, ct_device_kind device, int32_t index);
// Makes a tensor of host memory without copying it: `bytes` must be aligned to the elements and stay valid until
// `release(context)` is called, which happens once, when the last tensor of the storage is gone; on failure before return.
ct_status ct_from_memory(ct_tensor *out, void *bytes, int64_t byte_count, const int64_t *shape, int32_t rank,
                         ct_dtype dtype, void (*release)(void *), void *context);
// Copies the elements (made contiguous, on the host) into `bytes`.
ct_status ct_to_bytes(ct_tensor t, void *bytes, int64_t byte_count);
// Overwrites the elements of `t` with host bytes, keeping its storage.
ct_status ct_assign_bytes(ct_tensor t, const void *bytes, int64_t byte_count);
// A number that changes whenever a byte of the tensors does (CPU only).
ct_status ct_fingerprint(uint64_t *out, const ct_tensor *tensors, int32_t count);
int32_t ct_rank(ct_tensor t);
void ct_shape(ct_tensor t, int64_t *shape);
int64_t ct_element_count(ct_tensor t);
ct_dtype ct_dtype_of(ct_tensor t);
void ct_device_of(ct_tensor t, ct_device_kind *device, int32_t *index);
bool ct_is_contiguous(ct_tensor t);
ct_status ct_item_double(double *out, ct_tensor t);
ct_status ct_item_int(int64_t *out, ct_tensor t);
ct_status ct_to(ct_tensor *out, ct_tensor t, ct_dtype dtype, ct_device_kind device, int32_t index, bool copy);
ct_status ct_clone(ct_tensor *out, ct_tensor t);
ct_status ct_contiguous(ct_tensor *out, ct_tensor t);

// ---- Shapes and indexing (shape.cpp) ----
ct_status ct_reshape(ct_tensor *out, ct_tensor t, const int64_t *shape, int32_t rank);
ct_status ct_transpose(ct_tensor *out, ct_tensor t, int64_t a, int64_t b);
ct_status ct_permute(ct_tensor *out, ct_tensor t, const int64_t *axes, int32_t rank);
ct_status ct_expand(ct_tensor *out, ct_tensor t, const int64_t *shape, int32_t rank);
ct_status ct_unsqueeze(ct_tensor *out, ct_tensor t, int64_t axis);
ct_status ct_squeeze(ct_tensor *out, ct_tensor t, int64_t axis);
ct_status ct_slice(ct_tensor *out, ct_tensor t, int64_t axis, int64_t start, int64_t end, int64_t step);
ct_status ct_select(ct_tensor *out, ct_tensor t, int64_t axis, int64_t index);
ct_status ct_index_select(ct_tensor *out, ct_tensor t, int64_t axis, ct_tensor indices);
ct_status ct_gather(ct_tensor *out, ct_tensor t, int64_t axis, ct_tensor indices);
ct_status ct_concatenate(ct_tensor *out, const ct_tensor *tensors, int32_t count, int64_t axis);
ct_status ct_stack(ct_tensor *out, const ct_tensor *tensors, int32_t count, int64_t axis);
ct_status ct_flip(ct_tensor *out, ct_tensor t, int64_t axis);
ct_status ct_where(ct_tensor *out, ct_tensor condition, ct_tensor a, ct_tensor b);
// x with the given range of an axis replaced by `source`.
ct_status ct_slice_scatter(ct_tensor *out, ct_tensor x, ct_tensor source, int64_t axis, int64_t begin, int64_t end,
                           int64_t step);
ct_status ct_masked_fill(ct_tensor *out, ct_tensor t, ct_tensor mask, double value);
ct_status ct_repeat_interleave(ct_tensor *out, ct_tensor t, int64_t count, int64_t axis);
ct_status ct_sort(ct_tensor *values, ct_tensor *indices, ct_tensor t, int64_t axis, bool descending);
// The `count` largest of an axis, largest first.
ct_status ct_topk(ct_tensor *values, ct_tensor *indices, ct_tensor t, int64_t count, int64_t axis);

// ---- Element-wise mathematics, reductions, products (math.cpp) ----
ct_status ct_unary_op(ct_tensor *out, ct_tensor t, ct_unary op);
ct_status ct_binary_op(ct_tensor *out, ct_tensor a, ct_tensor b, ct_binary op);
// With `reversed`, the scalar is the left operand.
ct_status ct_scalar_op(ct_tensor *out, ct_tensor t, double scalar, ct_binary op, bool reversed);
// No axes: over all elements.
ct_status ct_reduce(ct_tensor *out, ct_tensor t, const int64_t *axes, int32_t count, bool keep, ct_reduction op);
// The angle of x + iy in radians.
ct_status ct_atan2(ct_tensor *out, ct_tensor y, ct_tensor x);
ct_status ct_clamp(ct_tensor *out, ct_tensor t, double low, double high);
ct_status ct_matmul(ct_tensor *out, ct_tensor a, ct_tensor b);
// x with a x = b, for the lower triangle of a [.., N, N] and b [.., N, M]; ones on the diagonal where `unit`.
ct_status ct_solve_lower_triangular(ct_tensor *out, ct_tensor a, ct_tensor b, bool unit);
ct_status ct_cumsum(ct_tensor *out, ct_tensor t, int64_t axis);
ct_status ct_softmax(ct_tensor *out, ct_tensor t, int64_t axis, bool logarithm);
ct_status ct_argmax(ct_tensor *out, ct_tensor t, int64_t axis);
ct_status ct_tril(ct_tensor *out, ct_tensor t, int64_t diagonal);
// Q of a QR decomposition of [M, N], M >= N, with the signs of a positive diagonal of R.
ct_status ct_orthonormal_columns(ct_tensor *out, ct_tensor t);
ct_status ct_embedding(ct_tensor *out, ct_tensor weight, ct_tensor indices);
ct_status ct_layer_norm(ct_tensor *out, ct_tensor t, ct_tensor weight, ct_tensor bias, double epsilon);
// logits [N, V] (computed in float32), targets [N] int64; rows whose target is -100 do not count.
ct_status ct_cross_entropy(ct_tensor *out, ct_tensor logits, ct_tensor targets, ct_loss_reduction reduction);
ct_status ct_all_finite(bool *out, ct_tensor t);
ct_status ct_copy_in_place(ct_tensor destination, ct_tensor source);
ct_status ct_scale_in_place(ct_tensor t, double factor);
ct_status ct_add_in_place(ct_tensor t, ct_tensor other, double factor);

// ---- Automatic differentiation (autograd.cpp) ----
bool ct_gradients_enabled(void);
void ct_set_gradients_enabled(bool enabled);
ct_status ct_set_requires_grad(ct_tensor t, bool enabled);
bool ct_requires_grad(ct_tensor t);
ct_status ct_detach(ct_tensor *out, ct_tensor t);
// *out is NULL when the tensor has no gradient.
ct_status ct_grad(ct_tensor *out, ct_tensor t);
ct_status ct_clear_grad(ct_tensor t);
ct_status ct_set_grad(ct_tensor t, ct_tensor gradient);
// Gradients may be NULL where the output is a scalar.
ct_status ct_backward(const ct_tensor *outputs, const ct_tensor *gradients, int32_t count);
// Unused inputs give NULL in `out`.
ct_status ct_gradients(ct_tensor *out, const ct_tensor *outputs, const ct_tensor *gradients, int32_t output_count,
                       const ct_tensor *inputs, int32_t input_count);
// A segment that is computed again during the backward pass instead of keeping its activations.
// `forward` reads borrowed inputs and writes `output_count` owned outputs; a non-zero result is an error.
// `context` is released with `release` when the graph no longer needs it.
typedef int32_t (*ct_segment)(void *context, const ct_tensor *inputs, int32_t input_count, ct_tensor *outputs,
                              int32_t output_count);
ct_status ct_checkpoint(ct_tensor *outputs, int32_t output_count, const ct_tensor *inputs, int32_t input_count,
                        ct_segment forward, void *context, void (*release)(void *));
// A node whose gradients a closure computes. The outputs were computed outside the graph; results are the same tensors in
// it. `backward` reads borrowed tensors, the saved ones and a gradient for every output, and writes owned gradients of
// the inputs (NULL: none); a non-zero result is an error.
typedef int32_t (*ct_gradient_closure)(void *context, const ct_tensor *saved, int32_t saved_count,
                                       const ct_tensor *gradients, int32_t gradient_count, ct_tensor *input_gradients,
                                       int32_t input_count);
ct_status ct_record(ct_tensor *results, const ct_tensor *outputs, int32_t output_count, const ct_tensor *inputs,
                    int32_t input_count, const ct_tensor *saved, int32_t saved_count, ct_gradient_closure backward,
                    void *context, void (*release)(void *));

// ---- Random numbers (create.cpp) ----
ct_status ct_generator_new(ct_generator *out, uint64_t seed, ct_device_kind device, int32_t index);
void ct_generator_free(ct_generator g);
ct_status ct_generator_state(ct_tensor *out, ct_generator g);
ct_status ct_generator_set_state(ct_generator g, ct_tensor state);
ct_status ct_normal(ct_tensor t, double mean, double std, ct_generator g);
ct_status ct_uniform(ct_tensor t, double low, double high, ct_generator g);
ct_status ct_bernoulli(ct_tensor t, double probability, ct_generator g);
// probabilities [N, V] -> indices [N]
ct_status ct_multinomial(ct_tensor *out, ct_tensor probabilities, ct_generator g);

// ---- Optimizer steps over lists of tensors (optimizers.cpp) ----
// One AdamW step in place (decoupled weight decay); `step` counts from 1. All tensors float32 or float64.
ct_status ct_adamw(const ct_tensor *parameters, const ct_tensor *gradients, const ct_tensor *first,
                   const ct_tensor *second, int32_t count, int64_t step, double learning_rate, double beta1,
                   double beta2, double weight_decay, double epsilon, double gradient_scale);
// One Adafactor step in place; `row` and `column` are factored second moments, or `row` is a full one and `column`
// NULL.
ct_status ct_adafactor(ct_tensor parameter, ct_tensor gradient, ct_tensor row, ct_tensor column, double beta,
                       double learning_rate, double clip_threshold, bool scale_by_parameter, double weight_decay,
                       double gradient_scale);
// One Muon step in place for parameters [..., R, C] of one shape, whose matrices are multiplied together: momentum,
// orthogonalization, decoupled weight decay. The update is multiplied by `learning_rate` times `scale`, the weight decay by
// `learning_rate`.
ct_status ct_muon(const ct_tensor *parameters, const ct_tensor *gradients, const ct_tensor *momenta, int32_t count,
                  double momentum_decay, bool nesterov, int64_t iterations, double learning_rate, double scale,
                  double weight_decay, double gradient_scale);
// Euclidean norm over all tensors; the sum runs in float64 and in order, so it is reproducible.
ct_status ct_global_norm(double *out, const ct_tensor *tensors, int32_t count);
ct_status ct_scale_all(const ct_tensor *tensors, int32_t count, double factor);

#ifdef __cplusplus
}
#endif
#endif
