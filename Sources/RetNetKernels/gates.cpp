// Small functions of inference; see gates.h.
#include "RetNetKernels/gates.h"

#include <algorithm>
#include <cmath>

namespace {

double softplus(double x) { return x > 0 ? x + std::log1p(std::exp(-x)) : std::log1p(std::exp(x)); }
float softplus(float x) { return x > 0 ? x + std::log1p(std::exp(-x)) : std::log1p(std::exp(x)); }

struct Sum {
  float x_factor, y_factor;
  float *x;
  const float *y;
};

void add(void *context, int64_t begin, int64_t end, int32_t) {
  const Sum &sum = *static_cast<const Sum *>(context);
  for (int64_t i = begin; i < end; i++)
    sum.x[i] = sum.x_factor * sum.x[i] + sum.y_factor * sum.y[i];
}

} // namespace

void rn_rotary_table(const double *angles, int64_t pairs, const int64_t *positions, int64_t rows, float *cosine,
                     float *sine) {
  for (int64_t row = 0; row < rows; row++)
    for (int64_t pair = 0; pair < pairs; pair++) {
      double angle = static_cast<double>(positions[row]) * angles[pair];
      cosine[row * pairs + pair] = static_cast<float>(std::cos(angle));
      sine[row * pairs + pair] = static_cast<float>(std::sin(angle));
    }
}

void rn_decay_gates(float *x, int64_t count, float divisor, float minimum) {
  for (int64_t i = 0; i < count; i++)
    x[i] = std::exp(std::max(-softplus(-x[i]) / divisor, minimum));
}

void rn_decay_steps(const float *x, int64_t x_stride, const float *bias, const float *decay_log, float minimum,
                    float maximum, float *steps, float *factors, int64_t rows, int64_t heads) {
  for (int64_t row = 0; row < rows; row++)
    for (int64_t head = 0; head < heads; head++) {
      double step = softplus(static_cast<double>(x[row * x_stride + head]) + bias[head]);
      float limited = std::min(std::max(static_cast<float>(step), minimum), maximum);
      steps[row * heads + head] = limited;
      double log = -limited * std::exp(static_cast<double>(decay_log[head]));
      factors[row * heads + head] = static_cast<float>(std::exp(log));
    }
}

void rn_score_epsilons(const double *log_decays, int64_t heads, const int64_t *counts, int64_t rows, double epsilon,
                       const float *sums, float *epsilons) {
  for (int64_t row = 0; row < rows; row++)
    for (int64_t head = 0; head < heads; head++) {
      double log = log_decays[head], seen = static_cast<double>(counts[row]) + 1;
      double w = log == 0 ? seen : std::expm1(seen * log) / std::expm1(log);
      double factor = 1;
      if (sums)
        factor = std::max(std::fabs(sums[row * heads + head]) / std::sqrt(w), 1.0);
      epsilons[row * heads + head] = static_cast<float>(epsilon * w * factor * factor);
    }
}

void rn_scale_heads(const float *x, int64_t x_stride, const float *factors, int64_t factor_stride, bool adds, float *y,
                    int64_t rows, int64_t heads, int64_t size) {
  for (int64_t row = 0; row < rows; row++)
    for (int64_t head = 0; head < heads; head++) {
      const float *from = x + row * x_stride + head * size;
      float *to = y + (row * heads + head) * size, factor = factors[row * factor_stride + head];
      for (int64_t i = 0; i < size; i++)
        to[i] = factor * from[i] + (adds ? to[i] : 0);
    }
}

void rn_divide_heads(float *x, const float *divisors, float epsilon, int64_t rows, int64_t heads, int64_t size) {
  for (int64_t head = 0; head < rows * heads; head++)
    for (int64_t i = 0; i < size; i++)
      x[head * size + i] /= divisors[head] + epsilon;
}

void rn_add(rn_pool *pool, float x_factor, float *x, float y_factor, const float *y, int64_t count) {
  Sum sum{x_factor, y_factor, x, y};
  // Waking threads costs as much as this many elements.
  constexpr int64_t kSmall = 1 << 15;
  if (count < kSmall)
    add(&sum, 0, count, 0);
  else
    rn_pool_run(pool, count, 1 << 12, add, &sum);
}
