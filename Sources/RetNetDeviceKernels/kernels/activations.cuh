// Activations of gates and their slopes, by the numbers of arguments.h.
#pragma once

#include "device.cuh"

namespace retnet::device {

DEVICE float sigmoid(float x) { return 1.0f / (1.0f + exponential(-x)); }

DEVICE float activated(float x, int kind) {
  switch (kind) {
  case kSwish: return x * sigmoid(x);
  case kGelu: return 0.5f * x * (1.0f + error_function(x * 0.70710678f));
  case kRelu: return x > 0.0f ? x : 0.0f;
  case kGeluTanh: return x * sigmoid(1.5957691f * x * (1.0f + 0.044715f * x * x));
  default: return x;
  }
}

DEVICE float activation_slope(float x, int kind) {
  switch (kind) {
  case kSwish: {
    float s = sigmoid(x);
    return s * (1.0f + x * (1.0f - s));
  }
  case kGelu:
    return 0.5f * (1.0f + error_function(x * 0.70710678f)) + x * 0.39894228f * exponential(-0.5f * x * x);
  case kRelu: return x > 0.0f ? 1.0f : 0.0f;
  case kGeluTanh: {
    float s = sigmoid(1.5957691f * x * (1.0f + 0.044715f * x * x));
    return s + x * s * (1.0f - s) * 1.5957691f * (1.0f + 0.134145f * x * x);
  }
  default: return 1.0f;
  }
}

} // namespace retnet::device
