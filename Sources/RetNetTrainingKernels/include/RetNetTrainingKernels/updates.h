// Steps of optimizers.
#pragma once

#include <RetNetKernels/elements.h>

namespace retnet {

// The numbers of one AdamW step.
struct AdamWFactors {
  double gradient_scale;  // of every gradient before anything else
  double decay;           // of parameters: 1 - learning rate times weight decay
  double beta1, beta2;
  double rate;            // the learning rate over 1 - beta1^step
  double root_correction; // the root of 1 - beta2^step
  double epsilon;
};

template <class T> struct UpdateKernels {
  // m = beta1 m + (1 - beta1) g, v = beta2 v + (1 - beta2) g^2, p = decay p - rate m / (sqrt(v) / root_correction + epsilon)
  // with g scaled, in one pass. Only for types that are their own accumulators.
  void (*adamw)(T *parameter, const T *gradient, T *first, T *second, const AdamWFactors &factors, int64_t size);
};

} // namespace retnet
