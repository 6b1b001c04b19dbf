// Handles, creation, copies to and from host memory.
#include "support.h"

#include <cstring>

using namespace ctorch;

void ct_tensor_free(ct_tensor t) {
  if (!t)
    return;
  delete t;
  live_tensors.fetch_sub(1, std::memory_order_relaxed);
}

ct_status ct_tensor_retain(ct_tensor *out, ct_tensor t) {
  return guarded([&] { *out = box(t->value); });
}

static at::IntArrayRef dims(const int64_t *shape, int32_t rank) { return at::IntArrayRef(shape, rank); }

ct_status ct_empty(ct_tensor *out, const int64_t *shape, int32_t rank, int32_t dtype, int32_t device,
                   int32_t index) {
  return guarded([&] { *out = box(at::empty(dims(shape, rank), options(dtype, device, index))); });
}

ct_status ct_full(ct_tensor *out, const int64_t *shape, int32_t rank, double value, int32_t dtype, int32_t device,
                  int32_t index) {
  return guarded([&] { *out = box(at::full(dims(shape, rank), value, options(dtype, device, index))); });
}

ct_status ct_arange(ct_tensor *out, double start, double end, double step, int32_t dtype, int32_t device,
                    int32_t index) {
  return guarded([&] { *out = box(at::arange(start, end, step, options(dtype, device, index))); });
}

ct_status ct_from_bytes(ct_tensor *out, const void *bytes, int64_t byte_count, const int64_t *shape, int32_t rank,
                        int32_t dtype, int32_t device, int32_t index) {
  return guarded([&] {
    auto host = at::empty(dims(shape, rank), options(dtype, CT_CPU, 0));
    TORCH_CHECK_VALUE(byte_count == static_cast<int64_t>(host.nbytes()), "the shape needs ", host.nbytes(),
                      " bytes, but ", byte_count, " were given");
    if (byte_count > 0)
      std::memcpy(host.mutable_data_ptr(), bytes, byte_count);
    *out = box(device == CT_CPU ? host : host.to(device_of(device, index)));
  });
}

ct_status ct_to_bytes(ct_tensor t, void *bytes, int64_t byte_count) {
  return guarded([&] {
    auto host = t->value.detach().to(at::kCPU).contiguous();
    TORCH_CHECK_VALUE(byte_count == static_cast<int64_t>(host.nbytes()), "the tensor holds ", host.nbytes(),
                      " bytes, but room for ", byte_count, " was given");
    if (byte_count > 0)
      std::memcpy(bytes, host.const_data_ptr(), byte_count);
  });
}

ct_status ct_assign_bytes(ct_tensor t, const void *bytes, int64_t byte_count) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    auto host = at::empty(t->value.sizes(), t->value.options().device(at::kCPU));
    TORCH_CHECK_VALUE(byte_count == static_cast<int64_t>(host.nbytes()), "the tensor needs ", host.nbytes(),
                      " bytes, but ", byte_count, " were given");
    if (byte_count > 0)
      std::memcpy(host.mutable_data_ptr(), bytes, byte_count);
    t->value.copy_(host);
  });
}

int32_t ct_rank(ct_tensor t) { return static_cast<int32_t>(t->value.dim()); }

void ct_shape(ct_tensor t, int64_t *shape) {
  auto sizes = t->value.sizes();
  for (size_t i = 0; i < sizes.size(); i++)
    shape[i] = sizes[i];
}

int64_t ct_element_count(ct_tensor t) { return t->value.numel(); }
int32_t ct_dtype_of(ct_tensor t) { return dtype_code(t->value.scalar_type()); }

void ct_device_of(ct_tensor t, int32_t *device, int32_t *index) {
  auto d = t->value.device();
  *device = d.is_cuda() ? CT_CUDA : d.is_mps() ? CT_MPS : CT_CPU;
  *index = d.has_index() ? d.index() : 0;
}

bool ct_is_contiguous(ct_tensor t) { return t->value.is_contiguous(); }

ct_status ct_item_double(double *out, ct_tensor t) {
  return guarded([&] { *out = t->value.item().toDouble(); });
}

ct_status ct_item_int(int64_t *out, ct_tensor t) {
  return guarded([&] { *out = t->value.item().toLong(); });
}

ct_status ct_to(ct_tensor *out, ct_tensor t, int32_t dtype, int32_t device, int32_t index, bool copy) {
  return guarded([&] {
    *out = box(t->value.to(device_of(device, index), scalar_type(dtype), /*non_blocking=*/false, copy));
  });
}

ct_status ct_clone(ct_tensor *out, ct_tensor t) {
  return guarded([&] { *out = box(t->value.clone()); });
}

ct_status ct_contiguous(ct_tensor *out, ct_tensor t) {
  return guarded([&] { *out = box(t->value.contiguous()); });
}
