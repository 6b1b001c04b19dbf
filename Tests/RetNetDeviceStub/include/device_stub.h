// The host part of device kernels for tests in Swift: a driver and a compiler that record calls, the cache, and what the real
// compiler makes of each kernel.
#ifndef DEVICE_STUB_H
#define DEVICE_STUB_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// The message of the last call on this thread that failed; empty if it did not.
const char *ds_error(void);
// Texts are valid until the next call on this thread that returns one.

// ---- A machine whose driver and compiler are functions of this file ----
typedef struct ds_machine ds_machine;
// Devices of a compute capability; the compiler has code for 8.0, 9.0, 10.0 and 12.0.
ds_machine *ds_machine_make(int32_t architecture);
void ds_machine_free(ds_machine *machine);
// The next `count` calls of a function return `result`.
void ds_fail(ds_machine *machine, const char *function, int32_t result, int32_t count);
// Calls since the last look, one a line.
const char *ds_calls(ds_machine *machine);

typedef struct ds_kernels ds_kernels;
ds_kernels *ds_kernels_make(ds_machine *machine, const char *cache_folder);
void ds_kernels_free(ds_kernels *kernels);
// False if it failed.
bool ds_launch(ds_kernels *kernels, const char *type, const int32_t *grid, int32_t threads, int32_t shared_bytes,
               const void *arguments, int64_t argument_bytes, int32_t ordinal, int64_t stream);
int64_t ds_compiled(ds_kernels *kernels);
int64_t ds_cached(ds_kernels *kernels);

// ---- Libraries ----
// Tries to take a file as the driver, or as the compiler; false with a message.
bool ds_open_driver(const char *path);
bool ds_open_compiler(const char *path);

// ---- The cache ----
const char *ds_digest(const char *bytes, int64_t count);
const char *ds_cache_folder(const char *const *names, const char *const *values, int32_t count);
const char *ds_cache_path(const char *folder, const char *key);
bool ds_cache_write(const char *folder, const char *key, const char *code, int64_t count);
// Null if there is nothing sound; `count` is the length.
const char *ds_cache_read(const char *folder, const char *key, int64_t *count);

// ---- Kernels as text ----
int32_t ds_source_count(void);
const char *ds_source_name(int32_t index);
const char *ds_source_text(int32_t index);

// ---- Compiled code ----
int32_t ds_instance_count(void);
const char *ds_instance_operation(int32_t index);
const char *ds_instance_type(int32_t index);

typedef struct {
  int32_t registers, local_bytes, static_shared, argument_bytes, threads; // of the kernel, from its code
  int32_t spill_bytes;                                                    // stores and loads, from the compiler's words
  int64_t code_bytes;
} ds_resources;
typedef struct {
  int32_t registers, local_bytes, shared_bytes, threads, argument_bytes;
} ds_bounds;
ds_bounds ds_instance_bounds(int32_t index);
// Compiles an instance with the compiler of this machine, or takes what was found last time from a folder if nothing has
// changed since. False if it failed.
bool ds_compile_instance(int32_t index, int32_t architecture, const char *folder, ds_resources *resources);
// The same for a program with a kernel `retnet_kernel`.
bool ds_compile(const char *program, int32_t architecture, ds_resources *resources);
// Null if there is no compiler here, with the reason as the message.
const char *ds_compiler(void);
void ds_add_folder(const char *folder);

#ifdef __cplusplus
}
#endif
#endif
