// The functions of ATen in use, without ATen's headers for them: those include the whole context of LibTorch, which
// doubles the time that a file takes to compile. Methods of tensors need no such header.
#pragma once

#include "support.h"

namespace ctorch {

namespace make {
at::Tensor empty(at::IntArrayRef shape, const at::TensorOptions &options);
at::Tensor empty_like(const at::Tensor &x);
at::Tensor zeros(at::IntArrayRef shape, const at::TensorOptions &options);
at::Tensor zeros_like(const at::Tensor &x);
at::Tensor full(at::IntArrayRef shape, double value, const at::TensorOptions &options);
at::Tensor range(int64_t count, const at::TensorOptions &options); // 0 ..< count
at::Tensor vector(const std::vector<double> &values);              // float64
at::Tensor vector(const std::vector<int64_t> &values);             // int64
at::Tensor joined(at::TensorList tensors, int64_t axis);
at::Tensor stacked(at::TensorList tensors, int64_t axis);
} // namespace make

inline at::Tensor operator+(const at::Tensor &a, const at::Tensor &b) { return a.add(b); }
inline at::Tensor operator-(const at::Tensor &a, const at::Tensor &b) { return a.sub(b); }
inline at::Tensor operator*(const at::Tensor &a, const at::Tensor &b) { return a.mul(b); }
inline at::Tensor operator/(const at::Tensor &a, const at::Tensor &b) { return a.div(b); }
inline at::Tensor operator+(const at::Tensor &a, const at::Scalar &b) { return a.add(b); }
inline at::Tensor operator-(const at::Tensor &a, const at::Scalar &b) { return a.sub(b); }
inline at::Tensor operator*(const at::Tensor &a, const at::Scalar &b) { return a.mul(b); }

} // namespace ctorch
