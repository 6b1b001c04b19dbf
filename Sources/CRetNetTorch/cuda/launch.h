// Launches of kernels on the device and stream of tensors.
#pragma once

#include "../ops/node.h"
#include "../ops/table.h"

#include <RetNetDeviceKernels/driver.h>
#include <RetNetDeviceKernels/rules.h>
#include <c10/core/DeviceGuard.h>
#include <limits>

namespace ctorch::cuda {

// The element type of kernels; those of the table have one.
inline device::Element element_of(at::ScalarType type) {
  return type == at::kBFloat16 ? device::Element::bf16 : type == at::kHalf ? device::Element::f16 : device::Element::f32;
}

// The driver's handle of LibTorch's current stream; null where devices are emulated.
void *current_stream(const c10::Device &device);

// The device of a tensor, made the current one, with LibTorch's current stream; or an emulated one (ct_emulate_cuda).
class Place {
public:
  explicit Place(const at::Tensor &x);
  const device::Limits &limits() const;
  template <class Arguments> void run(const device::Kernel &kernel, const Arguments &arguments) {
    run(kernel, &arguments, sizeof(Arguments));
  }
  void run(const device::Kernel &kernel, const void *arguments, size_t bytes);

private:
  c10::DeviceGuard guard_;
  int32_t ordinal_;
  void *stream_;
  device::Kernels *kernels_; // null: emulated
};

// Sizes that the kernels' 32 bits hold.
template <class... Sizes> bool are_countable(Sizes... sizes) {
  return ((sizes <= std::numeric_limits<int32_t>::max()) && ...);
}
// True if a result is differentiated by one of these.
template <class... Tensors> bool needs_gradients(const Tensors &...tensors) {
  return at::GradMode::is_enabled() && ((tensors.defined() && tensors.requires_grad()) || ...);
}
inline const float *numbers(const at::Tensor &x) { return x.defined() ? x.const_data_ptr<float>() : nullptr; }
inline float *places(const at::Tensor &x) { return x.defined() ? x.mutable_data_ptr<float>() : nullptr; }

// Rows of the last axis lie together.
inline at::Tensor unit_rows(const at::Tensor &x) { return x.stride(-1) == 1 || x.size(-1) == 1 ? x : x.contiguous(); }

} // namespace ctorch::cuda
