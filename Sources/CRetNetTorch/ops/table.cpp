// Decides which operators run with kernels; see table.h.
#include "table.h"

namespace ctorch {
namespace {

thread_local bool enabled = true;

// The tables of all devices. A device with kernels of its own has a case here.
const DeviceOperators *table_of(ct_device_kind device) {
  switch (device) {
  case CT_CPU: return emulates_cuda() ? &cuda_operators : &cpu_operators;
  case CT_CUDA: return &cuda_operators;
  default: return nullptr;
  }
}

bool runs_kernels(ct_device_kind device) { return device != CT_CUDA || cuda_kernels_problem().empty(); }

const DeviceOperators *find_kernels(ct_operator op, ct_device_kind device, ct_dtype type) {
  auto table = enabled ? table_of(device) : nullptr;
  return table && (table->types[op] >> type & 1) && runs_kernels(device) ? table : nullptr;
}

} // namespace

const DeviceOperators *kernels_for(ct_operator op, const at::Tensor &x) {
  return find_kernels(op, device_kind(x.device()), dtype_code(x.scalar_type()));
}

const DeviceOperators &required_kernels(ct_operator op, const at::Tensor &x) {
  auto table = kernels_for(op, x);
  TORCH_CHECK_VALUE(table, "there is no kernel for ", x.scalar_type(), " on ", x.device());
  return *table;
}

} // namespace ctorch

bool ct_has_kernel(ct_operator op, ct_device_kind device, ct_dtype type) {
  return ctorch::find_kernels(op, device, type) != nullptr;
}

uint32_t ct_kernel_types(ct_operator op, ct_device_kind device) {
  auto table = ctorch::table_of(device);
  return table ? table->types[op] : 0;
}

bool ct_set_kernels_enabled(bool enabled) {
  bool before = ctorch::enabled;
  ctorch::enabled = enabled;
  return before;
}
