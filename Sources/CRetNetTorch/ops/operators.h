// Shared by operators: element dispatch and access to the memory of tensors.
#pragma once

#include "../library/aten.h"

#include <RetNetTrainingKernels/training_kernels.h>
#include <RetNetTrainingKernels/parallel.h>

namespace ctorch {

using namespace retnet;

constexpr int64_t kIgnored = -100; // the target of a row that does not count

inline at::ScalarType accumulator_type(at::ScalarType type) { return type == at::kDouble ? at::kDouble : at::kFloat; }

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
  default: TORCH_CHECK_TYPE(false, "no kernel for element type ", type);
  }
}

// Rows a thread should at least get, so that a loop is worth splitting.
inline int64_t row_grain(int64_t row_size) { return std::max<int64_t>(1, 16384 / std::max<int64_t>(row_size, 1)); }

inline at::Tensor contiguous(const at::Tensor &t) { return t.defined() ? t.contiguous() : t; }

// Chunks of a sequence, and the shapes that chunkwise operators work with.
struct Span {
  int64_t start, length;
};
inline std::vector<Span> spans(int64_t time, int64_t size) {
  std::vector<Span> result;
  for (int64_t start = 0; start < time; start += size)
    result.push_back({start, std::min(size, time - start)});
  return result;
}
// [B, H, T, X] -> [B H, T, X]
inline at::Tensor merged(const at::Tensor &x) { return x.contiguous().reshape({-1, x.size(2), x.size(3)}); }
inline at::Tensor part(const at::Tensor &x, const Span &span) { return x.narrow(1, span.start, span.length); }
inline at::Tensor flipped(const at::Tensor &x) { return x.transpose(1, 2); }

} // namespace ctorch
