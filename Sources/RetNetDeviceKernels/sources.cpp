// The kernels as text.
#include "RetNetDeviceKernels/compiler.h"

#if defined(__clang__)
#pragma clang diagnostic ignored "-Wc23-extensions"
#endif

namespace retnet::device {
namespace {

// Compiler caches that do not know of #embed would not see that a kernel has changed. They leave files with this text alone.
[[maybe_unused]] constexpr char kUncached[] = ".incbin \"\"";

const char kKernel[] = {
#embed "include/RetNetDeviceKernels/kernel.h"
    , 0};
const char kArguments[] = {
#embed "include/RetNetDeviceKernels/arguments.h"
    , 0};
const char kActivations[] = {
#embed "kernels/activations.cuh"
    , 0};
const char kCombine[] = {
#embed "kernels/combine.cuh"
    , 0};
const char kDecode[] = {
#embed "kernels/decode.cuh"
    , 0};
const char kDevice[] = {
#embed "kernels/device.cuh"
    , 0};
const char kHeadNorm[] = {
#embed "kernels/head_norm.cuh"
    , 0};
const char kMma[] = {
#embed "kernels/mma.cuh"
    , 0};
const char kResidual[] = {
#embed "kernels/residual.cuh"
    , 0};
const char kRotate[] = {
#embed "kernels/rotate.cuh"
    , 0};
const char kScan[] = {
#embed "kernels/scan.cuh"
    , 0};
const char kSegments[] = {
#embed "kernels/segments.cuh"
    , 0};
const char kTokenLoss[] = {
#embed "kernels/token_loss.cuh"
    , 0};

} // namespace

const std::vector<SourceFile> &source_files() {
  static const std::vector<SourceFile> files{
      {"kernel.h", kKernel},
      {"arguments.h", kArguments},
      {"activations.cuh", kActivations},
      {"combine.cuh", kCombine},
      {"decode.cuh", kDecode},
      {"device.cuh", kDevice},
      {"head_norm.cuh", kHeadNorm},
      {"mma.cuh", kMma},
      {"residual.cuh", kResidual},
      {"rotate.cuh", kRotate},
      {"scan.cuh", kScan},
      {"segments.cuh", kSegments},
      {"token_loss.cuh", kTokenLoss},
  };
  return files;
}

} // namespace retnet::device
