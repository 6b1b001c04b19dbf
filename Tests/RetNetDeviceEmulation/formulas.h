// Formulas of rows in float64, and what their checks share.
#pragma once

#include "buffers.h"
#include "machine.h"

#include <cmath>

namespace retnet::emulation {

using Values = std::vector<double>;

inline double activation(double x, int kind) {
  switch (kind) {
  case device::kSwish: return x / (1 + std::exp(-x));
  case device::kGelu: return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0)));
  case device::kRelu: return std::max(x, 0.0);
  case device::kGeluTanh:
    return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
  default: return x;
  }
}

// Norm, weight, bias and gate of a row; null for what there is not.
inline Values normed(const double *x, int size, int kind, double epsilon, const double *weight, const double *bias,
              const double *gate, int gate_activation) {
  double mean = 0, squares = 0;
  if (kind == device::kLayerNorm) {
    for (int i = 0; i < size; i++)
      mean += x[i] / size;
  }
  for (int i = 0; i < size; i++)
    squares += (x[i] - mean) * (x[i] - mean) / size;
  Values out(static_cast<size_t>(size));
  for (int i = 0; i < size; i++) {
    double y = kind == device::kNoNorm ? x[i] : (x[i] - mean) / std::sqrt(squares + epsilon);
    y = y * (weight ? weight[i] : 1) + (bias ? bias[i] : 0);
    out[static_cast<size_t>(i)] = gate ? y * activation(gate[i], gate_activation) : y;
  }
  return out;
}

// Rotates the pairs of a row in place.
inline void turn(double *x, int size, const double *cosine, const double *sine, int rotation, double sign) {
  for (int j = 0; rotation && j < size / 2; j++) {
    double &a = x[rotation == 1 ? 2 * j : j], &b = x[rotation == 1 ? 2 * j + 1 : j + size / 2];
    double first = a * cosine[j] - b * sine[j] * sign, second = b * cosine[j] + a * sine[j] * sign;
    a = first, b = second;
  }
}

// The derivative of loss() by a variable that it reads.
template <class Loss> double slope(double &variable, Loss loss) {
  double before = variable, step = 1e-6;
  variable = before + step;
  double above = loss();
  variable = before - step;
  double below = loss();
  variable = before;
  return (above - below) / (2 * step);
}

constexpr device::Limits kLimits{90, 132, 227 << 10};

template <class Arguments, class Rule> std::string run(Rule rule, Arguments &a, Element type, Order order) {
  device::Kernel kernel;
  if (!rule(a, type, kLimits, kernel))
    return "there is no kernel for these sizes";
  return launch(kernel, &a, order);
}

} // namespace retnet::emulation
