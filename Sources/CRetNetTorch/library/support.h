// Shared by every file of the interface: handles, the exception barrier, conversions of the C types.
#pragma once

#if !__has_include(<ATen/core/Tensor.h>)
#error                                                                                                               \
    "LibTorch not found. Run `make setup` (installs it into .libtorch/) or set LIBTORCH to a folder that holds include/ and lib/."
#endif

// LibTorch's own headers then include single operators instead of all of them.
#ifndef AT_PER_OPERATOR_HEADERS
#define AT_PER_OPERATOR_HEADERS
#endif

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <atomic>
#include <optional>
#include <string>
#include <vector>

#include "ctorch.h"

struct ct_tensor_box {
  at::Tensor value;
};

namespace ctorch {

using variable_list = std::vector<at::Tensor>;

extern std::atomic<int64_t> live_tensors;

// An error raised inside a Swift callback: already recorded on the Swift side.
struct CallbackError : std::exception {
  const char *what() const noexcept override { return "a callback failed"; }
};

ct_status record_current_exception() noexcept;

// Runs `body`, turning every exception into a status. Nothing may leave this function by throwing.
template <class Body> ct_status guarded(Body &&body) noexcept {
  try {
    body();
    return CT_OK;
  } catch (...) {
    return record_current_exception();
  }
}

inline ct_tensor box(at::Tensor value) {
  auto *handle = new ct_tensor_box{std::move(value)};
  live_tensors.fetch_add(1, std::memory_order_relaxed);
  return handle;
}
inline void box_all(ct_tensor *out, const variable_list &values) {
  for (size_t i = 0; i < values.size(); i++)
    out[i] = box(values[i]);
}

inline std::optional<at::Tensor> optional(ct_tensor t) {
  return t ? std::optional<at::Tensor>(t->value) : std::nullopt;
}

inline at::Tensor maybe(ct_tensor t) { return t ? t->value : at::Tensor(); }

variable_list list(const ct_tensor *tensors, int32_t count);
at::ScalarType scalar_type(ct_dtype dtype);
ct_dtype dtype_code(at::ScalarType type);
c10::Device device_of(ct_device_kind kind, int32_t index);
ct_device_kind device_kind(const c10::Device &device);
inline at::TensorOptions options(ct_dtype dtype, ct_device_kind device, int32_t index) {
  return at::TensorOptions().dtype(scalar_type(dtype)).device(device_of(device, index));
}

// The folder of the loaded LibTorch with a slash at its end, or nothing where it is not known (device.cpp).
std::string library_folder();

// False if this processor does not multiply bfloat16 itself, or a test says so on this thread (device.cpp).
bool multiplies_bfloat16();

// True for bfloat16 on such a processor: LibTorch's own products of it, without vector instructions, take up to a
// hundred times as long as those of float32, so operators multiply in float32 and store results in 16 bits.
inline bool multiplies_in_float32(const at::Tensor &x) {
  return x.defined() && x.scalar_type() == at::kBFloat16 && x.device().is_cpu() && !multiplies_bfloat16();
}

// A tensor of 16 bits in float32; others, and undefined ones, as they are.
inline at::Tensor in_float32(const at::Tensor &x) {
  return x.defined() && x.scalar_type() == at::kBFloat16 ? x.to(at::kFloat) : x;
}

// Puts the operands of products in float32 where this processor does not multiply the type of the first; returns the
// type that it had, in which results are stored.
template <class... Rest> at::ScalarType widen_operands(at::Tensor &first, Rest &...rest) {
  auto type = first.scalar_type();
  if (multiplies_in_float32(first)) {
    first = in_float32(first);
    ((rest = in_float32(rest)), ...);
  }
  return type;
}

} // namespace ctorch
