// Handles, creation, copies to and from host memory, random numbers; and the factories of aten.h.
#include "../library/aten.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/full.h>
#include <ATen/ops/multinomial.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <cstring>

struct ct_generator_box {
  at::Generator value;
};

namespace ctorch::make {

at::Tensor empty(at::IntArrayRef shape, const at::TensorOptions &options) { return at::empty(shape, options); }
at::Tensor empty_like(const at::Tensor &x) { return at::empty_like(x); }
at::Tensor zeros(at::IntArrayRef shape, const at::TensorOptions &options) { return at::zeros(shape, options); }
at::Tensor zeros_like(const at::Tensor &x) { return at::zeros_like(x); }
at::Tensor full(at::IntArrayRef shape, double value, const at::TensorOptions &options) {
  return at::full(shape, value, options);
}
at::Tensor range(int64_t count, const at::TensorOptions &options) { return at::arange(count, options); }
at::Tensor vector(const std::vector<double> &values) { return at::tensor(values, at::kDouble); }
at::Tensor vector(const std::vector<int64_t> &values) { return at::tensor(values, at::kLong); }
at::Tensor joined(at::TensorList tensors, int64_t axis) { return at::cat(tensors, axis); }
at::Tensor stacked(at::TensorList tensors, int64_t axis) { return at::stack(tensors, axis); }

} // namespace ctorch::make

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

ct_status ct_empty(ct_tensor *out, const int64_t *shape, int32_t rank, ct_dtype dtype, ct_device_kind device,
                   int32_t index) {
  return guarded([&] { *out = box(at::empty(dims(shape, rank), options(dtype, device, index))); });
}

ct_status ct_full(ct_tensor *out, const int64_t *shape, int32_t rank, double value, ct_dtype dtype,
                  ct_device_kind device, int32_t index) {
  return guarded([&] { *out = box(at::full(dims(shape, rank), value, options(dtype, device, index))); });
}

ct_status ct_arange(ct_tensor *out, double start, double end, double step, ct_dtype dtype, ct_device_kind device,
                    int32_t index) {
  return guarded([&] { *out = box(at::arange(start, end, step, options(dtype, device, index))); });
}

ct_status ct_from_bytes(ct_tensor *out, const void *bytes, int64_t byte_count, const int64_t *shape, int32_t rank,
                        ct_dtype dtype, ct_device_kind device, int32_t index) {
  return guarded([&] {
    auto host = at::empty(dims(shape, rank), options(dtype, CT_CPU, 0));
    TORCH_CHECK_VALUE(byte_count == static_cast<int64_t>(host.nbytes()), "the shape needs ", host.nbytes(),
                      " bytes, but ", byte_count, " were given");
    if (byte_count > 0)
      std::memcpy(host.mutable_data_ptr(), bytes, byte_count);
    *out = box(device == CT_CPU ? host : host.to(device_of(device, index)));
  });
}

ct_status ct_from_memory(ct_tensor *out, void *bytes, int64_t byte_count, const int64_t *shape, int32_t rank,
                         ct_dtype dtype, void (*release)(void *), void *context) {
  bool is_owned = false;
  const auto status = guarded([&] {
    const auto type = options(dtype, CT_CPU, 0);
    const auto size = static_cast<int64_t>(type.dtype().itemsize());
    int64_t needed = size;
    for (int32_t axis = 0; axis < rank; ++axis)
      needed *= shape[axis];
    TORCH_CHECK_VALUE(byte_count == needed, "the shape needs ", needed, " bytes, but ", byte_count, " were given");
    TORCH_CHECK_VALUE(reinterpret_cast<uintptr_t>(bytes) % static_cast<uintptr_t>(size) == 0,
                      "the memory is not aligned to its elements");
    auto tensor = at::from_blob(
        bytes, dims(shape, rank), [release, context](void *) { release(context); }, type);
    is_owned = true;
    *out = box(std::move(tensor));
  });
  if (!is_owned)
    release(context);
  return status;
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
ct_dtype ct_dtype_of(ct_tensor t) { return dtype_code(t->value.scalar_type()); }

void ct_device_of(ct_tensor t, ct_device_kind *device, int32_t *index) {
  auto d = t->value.device();
  *device = device_kind(d);
  *index = d.has_index() ? d.index() : 0;
}

bool ct_is_contiguous(ct_tensor t) { return t->value.is_contiguous(); }

ct_status ct_item_double(double *out, ct_tensor t) {
  return guarded([&] { *out = t->value.item().toDouble(); });
}

ct_status ct_item_int(int64_t *out, ct_tensor t) {
  return guarded([&] { *out = t->value.item().toLong(); });
}

ct_status ct_to(ct_tensor *out, ct_tensor t, ct_dtype dtype, ct_device_kind device, int32_t index, bool copy) {
  return guarded(
      [&] { *out = box(t->value.to(device_of(device, index), scalar_type(dtype), /*non_blocking=*/false, copy)); });
}

ct_status ct_clone(ct_tensor *out, ct_tensor t) {
  return guarded([&] { *out = box(t->value.clone()); });
}

ct_status ct_contiguous(ct_tensor *out, ct_tensor t) {
  return guarded([&] { *out = box(t->value.contiguous()); });
}

// A fingerprint of the bytes of host tensors. Eight lanes of multiply and add run at the speed of memory.
ct_status ct_fingerprint(uint64_t *out, const ct_tensor *tensors, int32_t count) {
  return guarded([&] {
    uint64_t lanes[8] = {0x9e3779b97f4a7c15, 0xbf58476d1ce4e5b9, 0x94d049bb133111eb, 0xd6e8feb86659fd93,
                         0xa0761d6478bd642f, 0xe7037ed1a0b428db, 0x8ebc6af09c88c6e3, 0x589965cc75374cc3};
    constexpr uint64_t kFactor = 0x9ddfea08eb382d69;
    for (const auto &tensor : list(tensors, count)) {
      TORCH_CHECK_VALUE(tensor.device().is_cpu(), "only tensors in the memory of the CPU have a fingerprint");
      auto flat = tensor.contiguous();
      const auto *bytes = static_cast<const unsigned char *>(flat.const_data_ptr());
      size_t size = flat.nbytes(), i = 0;
      for (; i + 64 <= size; i += 64) {
        uint64_t words[8];
        __builtin_memcpy(words, bytes + i, 64);
        for (int j = 0; j < 8; j++)
          lanes[j] = (lanes[j] ^ words[j]) * kFactor + 1;
      }
      for (; i < size; i++)
        lanes[i % 8] = (lanes[i % 8] ^ bytes[i]) * kFactor + 1;
      lanes[0] ^= size;
    }
    uint64_t hash = 0;
    for (auto lane : lanes) {
      hash = (hash ^ lane ^ (lane >> 29)) * kFactor;
      hash ^= hash >> 32;
    }
    *out = hash;
  });
}

// ---- Random numbers ----

ct_status ct_generator_new(ct_generator *out, uint64_t seed, ct_device_kind device, int32_t index) {
  return guarded([&] {
    at::Generator generator;
    if (device == CT_CPU) {
      generator = at::detail::createCPUGenerator(seed);
    } else {
      generator = at::globalContext().defaultGenerator(device_of(device, index)).clone();
      generator.set_current_seed(seed);
    }
    *out = new ct_generator_box{generator};
  });
}

void ct_generator_free(ct_generator g) { delete g; }

ct_status ct_generator_state(ct_tensor *out, ct_generator g) {
  return guarded([&] { *out = box(g->value.get_state()); });
}
ct_status ct_generator_set_state(ct_generator g, ct_tensor state) {
  return guarded([&] { g->value.set_state(state->value); });
}
ct_status ct_normal(ct_tensor t, double mean, double std, ct_generator g) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    t->value.normal_(mean, std, g->value);
  });
}
ct_status ct_uniform(ct_tensor t, double low, double high, ct_generator g) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    t->value.uniform_(low, high, g->value);
  });
}
ct_status ct_bernoulli(ct_tensor t, double probability, ct_generator g) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    t->value.bernoulli_(probability, g->value);
  });
}
ct_status ct_multinomial(ct_tensor *out, ct_tensor probabilities, ct_generator g) {
  return guarded(
      [&] { *out = box(at::multinomial(probabilities->value, 1, /*replacement=*/true, g->value).squeeze(-1)); });
}
