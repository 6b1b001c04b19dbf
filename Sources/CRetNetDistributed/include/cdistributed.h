// A plain C interface over c10d, the part of LibTorch that joins processes: a store of keys, collectives between ranks,
// and buckets of gradients that are summed while the backward pass goes on. The contract is that of ctorch.h.
#ifndef CDISTRIBUTED_H
#define CDISTRIBUTED_H

#include "ctorch_types.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cd_store_box *cd_store;
typedef struct cd_group_box *cd_group;
typedef struct cd_buckets_box *cd_buckets;

typedef enum { CD_SUM = 0, CD_MINIMUM = 1, CD_MAXIMUM = 2 } cd_reduction;

// Why a group works no longer: nothing, a rank has written so into the store, or the store does not answer.
typedef enum { CD_ALIVE = 0, CD_ENDED = 1, CD_STORE_LOST = 2 } cd_condition;

// The LibTorch whose headers this interface was compiled with; the layout of its classes changes between releases.
const char *cd_version_built(void);

// ---- Store: small values under keys, kept by one process and reached by all ----
// With `serves`, the process keeps the store itself, at a free port if `port` is 0; otherwise it connects. An operation that
// has no answer within the time-out (2 to 30 s) fails, and so do all after it.
ct_status cd_store_open(cd_store *out, const char *host, int32_t port, bool serves, int64_t timeout_ms);
void cd_store_free(cd_store store);
int32_t cd_store_port(cd_store store);
ct_status cd_store_set(cd_store store, const char *key, const void *bytes, int64_t count);
// *found is false, and nothing is received, where there is no such key.
ct_status cd_store_get(cd_store store, const char *key, bool *found,
                       void (*receive)(void *context, const void *bytes, int64_t count), void *context);
ct_status cd_store_add(int64_t *out, cd_store store, const char *key, int64_t amount);
// Sets a key that is not there; *is_first is false where it was.
ct_status cd_store_claim(cd_store store, const char *key, const void *bytes, int64_t count, bool *is_first);
// The address of this machine from which packets go to the host.
ct_status cd_local_address(const char *host, int32_t port, char *buffer, int64_t capacity);

// ---- Group: the ranks of a run, connected by Gloo ----
// Keys begin with `prefix`; `interface` names a network interface, or is NULL for that of `address`. A thread writes a
// sign of life every `beat_ms`, under `beat/RANK`: its number and that of the operations begun.
ct_status cd_group_new(cd_group *out, cd_store store, const char *prefix, int32_t rank, int32_t size,
                       const char *address, const char *interface, int64_t timeout_ms, int64_t beat_ms);
// Some of the ranks of a group, all of which call this with the same prefix; `rank` and `size` are those among them. The
// part shares the thread, the operation count and the condition of the whole group, and must be freed before its store.
ct_status cd_group_part(cd_group *out, cd_group whole, cd_store store, const char *prefix, int32_t rank, int32_t size);
// Ends the thread. With `is_broken`, connections stay open until the process ends, for operations may hang in them.
void cd_group_free(cd_group group, bool is_broken);
cd_condition cd_group_condition(cd_group group);
// Operations begun so far.
int64_t cd_group_operation_count(cd_group group);

// Tensors are contiguous and on the CPU; every rank calls the same operations in the same order.
ct_status cd_all_reduce(cd_group group, ct_tensor t, cd_reduction reduction);
// input [size * N, ...] -> output [N, ...]: this rank's part of the sum.
ct_status cd_reduce_scatter(cd_group group, ct_tensor output, ct_tensor input, cd_reduction reduction);
// input [N, ...] of every rank -> output [size * N, ...] in the order of the ranks.
ct_status cd_all_gather(cd_group group, ct_tensor output, ct_tensor input);
ct_status cd_broadcast(cd_group group, ct_tensor t, int32_t root);
ct_status cd_send(cd_group group, ct_tensor t, int32_t rank, int32_t tag);
ct_status cd_receive(cd_group group, ct_tensor t, int32_t rank, int32_t tag);
ct_status cd_barrier(cd_group group);

// ---- Buckets: gradients of parameters, summed over the ranks ----
// Buckets hold parameters from the last to the first, whose gradients come in about that order, and go over the network
// in `wire` (the type of the parameters, or bfloat16).
ct_status cd_buckets_new(cd_buckets *out, cd_group group, const ct_tensor *parameters, int32_t count,
                         int64_t bucket_bytes, bool wire_is_bfloat16);
void cd_buckets_free(cd_buckets buckets);
int32_t cd_buckets_count(cd_buckets buckets);
// From now on a bucket is sent as soon as all its gradients are there: for the last backward pass of a step.
void cd_buckets_begin(cd_buckets buckets);
// What is known of a parameter's gradient: it was there, and it came in several parts.
enum { CD_HAS_GRADIENT = 1, CD_CAME_IN_PARTS = 2 };
// Sends what is left and waits for the sums. Writes the flags of every parameter on this rank, and the seconds that passed
// in waiting. Gradients are undefined until `fill`.
ct_status cd_buckets_finish(cd_buckets buckets, uint8_t *flags, double *waited);
// Makes the sums the gradients of parameters that had one on any rank, given the flags of all ranks together. Parts that
// came too late are summed now; from then on their bucket is sent at the end.
ct_status cd_buckets_fill(cd_buckets buckets, const uint8_t *flags);
// The bucket of a parameter, and the bytes of a bucket.
int32_t cd_buckets_place(cd_buckets buckets, int32_t parameter);
int64_t cd_buckets_bytes(cd_buckets buckets, int32_t bucket);
// Gives all ranks the parameters of every bucket as its owner has them. The gradients are gone afterwards.
ct_status cd_buckets_share(cd_buckets buckets, const int32_t *owners);

#ifdef __cplusplus
}
#endif
#endif
