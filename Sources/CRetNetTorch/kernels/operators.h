// What the fused operators share: element dispatch and the choice between fused and ATen paths.
#pragma once

#include "../support.h"

#include <RetNetKernels/kernels.h>
#include <RetNetKernels/parallel.h>

#include <torch/csrc/autograd/custom_function.h>

namespace ctorch {

using namespace retnet;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

inline bool has_row_kernels(const at::Tensor &x) {
  return x.device().is_cpu() && (x.scalar_type() == at::kFloat || x.scalar_type() == at::kDouble ||
                                 x.scalar_type() == at::kBFloat16);
}

inline at::ScalarType accumulator_type(at::ScalarType type) {
  return type == at::kDouble ? at::kDouble : at::kFloat;
}

template <class T> inline const T *data(const at::Tensor &t) {
  return t.defined() ? static_cast<const T *>(t.const_data_ptr()) : nullptr;
}
template <class T> inline T *mutable_data(const at::Tensor &t) {
  return t.defined() ? static_cast<T *>(t.mutable_data_ptr()) : nullptr;
}

// Calls body<T>() with the storage type of `type`.
template <class Body> void with_element(at::ScalarType type, Body &&body) {
  switch (type) {
  case at::kFloat: body.template operator()<float>(); break;
  case at::kDouble: body.template operator()<double>(); break;
  case at::kBFloat16: body.template operator()<BF16>(); break;
  default: TORCH_CHECK_TYPE(false, "no fused operator for element type ", type);
  }
}

// Arguments of a graph node that may be absent must be std::optional: an undefined tensor is refused there.
using OptionalTensor = std::optional<at::Tensor>;
inline OptionalTensor given(const at::Tensor &t) { return t.defined() ? OptionalTensor(t) : std::nullopt; }

// Rows a thread should at least get, so that a loop is worth splitting.
inline int64_t row_grain(int64_t row_size) { return std::max<int64_t>(1, 16384 / std::max<int64_t>(row_size, 1)); }

at::Tensor activation_aten(const at::Tensor &x, int32_t activation);

} // namespace ctorch
