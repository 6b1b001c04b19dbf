// Whether kernels for CUDA devices can run here, and where they do.
//
// Nothing of CUDA is needed to build. The driver, and NVRTC beside LibTorch's own libraries, are loaded when the first
// operator meets a tensor on such a device (RetNetDeviceKernels).
#include "launch.h"

#include <c10/core/impl/VirtualGuardImpl.h>
#include <cstdlib>
#include <cstring>

namespace ctorch {

const std::string &cuda_kernels_problem() {
  static const std::string problem = []() -> std::string {
    auto choice = std::getenv("RETNET_CUDA_KERNELS");
    if (choice && (strcmp(choice, "0") == 0 || strcmp(choice, "off") == 0))
      return "RETNET_CUDA_KERNELS switches them off";
    try {
      device::Compiler::add_folder(library_folder());
      int32_t architecture = device::Kernels::shared().limits(0).architecture;
      if (architecture < 80)
        return "they need compute capability 8.0, and the device has " + std::to_string(architecture / 10) + "." +
               std::to_string(architecture % 10);
      return "";
    } catch (const std::exception &e) {
      return e.what();
    }
  }();
  return problem;
}

namespace {
struct Emulation {
  ct_launcher launcher = nullptr;
  device::Limits limits = {};
};
thread_local Emulation emulation;
} // namespace

bool emulates_cuda() { return emulation.launcher != nullptr; }

namespace cuda {

void *current_stream(const c10::Device &device) {
  if (emulates_cuda())
    return nullptr;
  c10::impl::VirtualGuardImpl implementation(device.type());
  return implementation.getStreamNativeHandle(implementation.getStream(device));
}

Place::Place(const at::Tensor &x)
    : guard_(x.device()), ordinal_(x.device().index()), stream_(current_stream(x.device())),
      kernels_(emulates_cuda() ? nullptr : &device::Kernels::shared()) {}

const device::Limits &Place::limits() const { return kernels_ ? kernels_->limits(ordinal_) : emulation.limits; }

void Place::run(const device::Kernel &kernel, const void *arguments, size_t bytes) {
  if (kernels_) {
    kernels_->launch(kernel, arguments, bytes, ordinal_, stream_);
    return;
  }
  const auto &shape = kernel.shape;
  auto error = emulation.launcher(kernel.type, shape.grid, shape.threads, shape.shared_bytes, arguments);
  TORCH_CHECK(!error, error);
}

} // namespace cuda
} // namespace ctorch

void ct_emulate_cuda(ct_launcher launcher, int32_t architecture, int32_t multiprocessors, int32_t shared_bytes) {
  ctorch::emulation = {launcher, {architecture, multiprocessors, shared_bytes}};
}

bool ct_cuda_kernels(char *text, int64_t capacity) {
  const auto &problem = ctorch::cuda_kernels_problem();
  snprintf(text, static_cast<size_t>(capacity), "%s",
           problem.empty() ? retnet::device::Kernels::shared().cache().folder().c_str() : problem.c_str());
  return problem.empty();
}
