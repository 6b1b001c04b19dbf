// The library, its devices and threads, and errors.
#ifndef CTORCH_LIBRARY_H
#define CTORCH_LIBRARY_H

#include "ctorch_types.h"

#ifdef __cplusplus
extern "C" {
#endif

const char *ct_error_message(void);
int64_t ct_live_tensor_count(void);

const char *ct_version_built(void);
// Version of the LibTorch that was loaded at run time.
const char *ct_version_loaded(void);
// Installs the memory policy and gives LibTorch's threads to the kernels; called before anything else.
void ct_initialize(void);
void ct_cpu_description(char *buffer, int64_t capacity);
ct_status ct_set_threads(int32_t count);
int32_t ct_threads(void);
// Loads the CUDA half of LibTorch if it is installed; false (with a reason) when it cannot be used.
bool ct_cuda_load(char *reason, int64_t capacity);
int32_t ct_cuda_device_count(void);
bool ct_mps_available(void);
ct_status ct_synchronize(ct_device_kind device, int32_t index);
// The most bytes of a device that tensors have had at once; 0 for processors.
ct_status ct_peak_memory(int64_t *bytes, ct_device_kind device, int32_t index);
bool ct_supports_bfloat16(void);
// False if operators of this thread multiply bfloat16 in float32.
bool ct_multiplies_bfloat16(void);
// Makes operators of this thread multiply bfloat16 in float32, as on processors without such products; returns the
// choice before.
bool ct_set_float32_products(bool enabled);
ct_status ct_set_deterministic(bool enabled);

// True if the operator has a kernel for elements of this type on this device, and kernels are enabled on this thread.
bool ct_has_kernel(ct_operator op, ct_device_kind device, ct_dtype type);
// Element types that this package has kernels for, as bits 1 << ct_dtype, whether or not they can run here.
uint32_t ct_kernel_types(ct_operator op, ct_device_kind device);
// False, with the reason, if the kernels for CUDA devices cannot run here; otherwise `text` is the folder where compiled
// ones are kept.
bool ct_cuda_kernels(char *text, int64_t capacity);
// For tests without a device: operators of this thread take the table of CUDA devices for tensors of the processor, as on a
// device with these limits, and `launcher` gets every launch; it returns null, or what went wrong. Null ends it.
typedef const char *(*ct_launcher)(const char *kernel, const int32_t *grid, int32_t threads, int32_t shared_bytes,
                                   const void *arguments);
void ct_emulate_cuda(ct_launcher launcher, int32_t architecture, int32_t multiprocessors, int32_t shared_bytes);
// Enables kernels for operators that the calling thread starts (the default), or makes them run as they do on a
// device without kernels. Returns the previous setting.
bool ct_set_kernels_enabled(bool enabled);

// ---- Recorded launches (library/graphs.cpp) ----
typedef struct ct_graph_box *ct_graph;
// True if launches on such devices can be recorded.
bool ct_can_record(ct_device_kind device);
// Records what `body` launches on a device without running it; `body` returns 0 unless it failed. It must neither wait for
// the device nor read or write the memory of the host through it. Tensors that it makes belong to the recording's memory.
ct_status ct_graph_record(ct_graph *out, ct_device_kind device, int32_t index, int32_t (*body)(void *context),
                          void *context);
// Runs what was recorded, with whatever the tensors in use hold now.
ct_status ct_graph_replay(ct_graph graph);
void ct_graph_free(ct_graph graph);

// ---- Time by part, on the calling thread (library/profile.cpp) ----
// Starts to take the time of parts, and to note the matrix products that are made.
ct_status ct_profile_start(void);
// Stops; writes the seconds of every part, and those of its products by LibTorch, into arrays of CT_PART_COUNT.
void ct_profile_stop(double *seconds, double *product_seconds);
bool ct_profile_is_on(void);
// Everything until `ct_profile_leave`, and its gradients, belong to a part unless a part inside says otherwise.
void ct_profile_enter(ct_part part);
void ct_profile_leave(void);
// Makes the products noted last once more, alone, with operands of the same shapes, strides and types: seconds and
// floating-point operations.
ct_status ct_profile_products(double *seconds, double *operations);

#ifdef __cplusplus
}
#endif
#endif
