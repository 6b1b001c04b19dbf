// Small functions of inference, in plain C: positions, gates and normalizers, a few numbers for every row.
#pragma once

#include "inference.h"

#ifdef __cplusplus
extern "C" {
#endif

// cosine[row, pair] and sine[row, pair] of position * angle, computed in float64.
void rn_rotary_table(const double *angles, int64_t pairs, const int64_t *positions, int64_t rows, float *cosine,
                     float *sine);

// Gates as factors: x = e^max(ln sigmoid(x) / divisor, minimum).
void rn_decay_gates(float *x, int64_t count, float divisor, float minimum);

// steps = softplus(x + bias) within limits, and factors = e^(-steps e^decay_log), both [rows, heads].
void rn_decay_steps(const float *x, int64_t x_stride, const float *bias, const float *decay_log, float minimum,
                    float maximum, float *steps, float *factors, int64_t rows, int64_t heads);

// The epsilons of a head norm over numerators of retention [rows, heads]: epsilon w, or epsilon w max(|sum| / sqrt w, 1)^2
// where sums [rows, heads] are given, with w = 1 + g + ... + g^count and the counts of tokens before each row.
void rn_score_epsilons(const double *log_decays, int64_t heads, const int64_t *counts, int64_t rows, double epsilon,
                       const float *sums, float *epsilons);

// y = x times a factor per head, plus what y is if `adds`. Rows of factors are factor_stride elements apart, 0 for the
// same of all rows; those of y have no gaps.
void rn_scale_heads(const float *x, int64_t x_stride, const float *factors, int64_t factor_stride, bool adds, float *y,
                    int64_t rows, int64_t heads, int64_t size);

// x = x / (divisor + epsilon) for every head [rows, heads, size], with divisors [rows, heads].
void rn_divide_heads(float *x, const float *divisors, float epsilon, int64_t rows, int64_t heads, int64_t size);

// x = x_factor x + y_factor y
void rn_add(rn_pool *pool, float x_factor, float *x, float y_factor, const float *y, int64_t count);

#ifdef __cplusplus
}
#endif
