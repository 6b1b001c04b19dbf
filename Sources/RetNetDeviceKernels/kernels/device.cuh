// Element types and the primitives that kernels are written with.
//
// On a device they are instructions. The emulation (emulation.h, in the tests) declares the same functions for a
// processor, so that the text of the kernels is compiled and run there as it is.
#pragma once

#include "arguments.h"

namespace retnet::device {

struct bf16 {
  uint16_t bits;
};
struct f16 {
  uint16_t bits;
};

} // namespace retnet::device

#ifdef __CUDACC_RTC__

#define DEVICE __device__ __forceinline__
#define UNROLL _Pragma("unroll")
#define UNROLL_BY_2 _Pragma("unroll 2")
#define KEEP_LOOP _Pragma("unroll 1")

namespace retnet::device {

DEVICE int thread_index() { return threadIdx.x; }
DEVICE int block_index(int axis) { return axis == 0 ? blockIdx.x : axis == 1 ? blockIdx.y : blockIdx.z; }
DEVICE int block_count(int axis) { return axis == 0 ? gridDim.x : axis == 1 ? gridDim.y : gridDim.z; }

// Dynamic shared memory, aligned to 16 bytes.
extern __shared__ __align__(16) char shared_bytes[];
DEVICE char *shared_memory() { return shared_bytes; }

DEVICE void barrier() { __syncthreads(); }
// Values of other lanes of a warp; all its lanes take part.
DEVICE float shuffle_xor(float x, int mask) { return __shfl_xor_sync(0xffffffffu, x, mask); }
DEVICE double shuffle_xor(double x, int mask) { return __shfl_xor_sync(0xffffffffu, x, mask); }
DEVICE double shuffle_up(double x, int distance) { return __shfl_up_sync(0xffffffffu, x, distance); }

// Writes before it are seen by the block that counts last; returns the number of blocks before.
DEVICE uint32_t count_block(uint32_t *counter) {
  __threadfence();
  uint32_t before = atomicAdd(counter, 1u);
  __threadfence();
  return before;
}

// Reads what other blocks of this launch have written.
DEVICE float read_fresh(const float *from) { return __ldcg(from); }

DEVICE float power_of_two(float x) { return exp2f(x); }
DEVICE float exponential(float x) { return expf(x); }
DEVICE float logarithm(float x) { return logf(x); }
DEVICE float error_function(float x) { return erff(x); }
DEVICE float inverse_root(float x) { return 1.0f / sqrtf(x); }
DEVICE float fused(float a, float b, float c) { return __fmaf_rn(a, b, c); }

DEVICE float to_float(float x) { return x; }
DEVICE float to_float(bf16 x) { return __uint_as_float(static_cast<uint32_t>(x.bits) << 16); }
DEVICE float to_float(f16 x) {
  float y;
  asm("cvt.f32.f16 %0, %1;" : "=f"(y) : "h"(x.bits));
  return y;
}
DEVICE void round_to(float x, float &y) { y = x; }
DEVICE void round_to(float x, bf16 &y) { asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(y.bits) : "f"(x)); }
DEVICE void round_to(float x, f16 &y) { asm("cvt.rn.f16.f32 %0, %1;" : "=h"(y.bits) : "f"(x)); }

// Two elements in 32 bits, the first in the lower half.
DEVICE uint32_t pack(float low, float high, bf16) {
  uint32_t y;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(y) : "f"(high), "f"(low));
  return y;
}
DEVICE uint32_t pack(float low, float high, f16) {
  uint32_t y;
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(y) : "f"(high), "f"(low));
  return y;
}
// The nearest number with the 10 bits of TF32's fraction.
DEVICE float round_to_tf32(float x) {
  uint32_t y;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(y) : "f"(x));
  return __uint_as_float(y);
}

// Copies 16 bytes to shared memory, of which only `bytes` are read and the others are zero, while the thread goes on.
// Both addresses are multiples of 16.
DEVICE void copy_async(void *shared, const void *global, int bytes) {
  uint32_t to = static_cast<uint32_t>(__cvta_generic_to_shared(shared));
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(global), "r"(bytes) : "memory");
}
// Ends a group of copies.
DEVICE void end_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }
// Waits for all groups of this thread but the last kPending. Other threads see them after a barrier.
template <int kPending> DEVICE void wait_for_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
}

// Four matrices of 8 by 8 elements of 16 bits: lane i gives the address of row i % 8 of matrix i / 8, and lane 4 g + t
// gets the elements 2 t and 2 t + 1 of row g of each; transposed, those of column g.
DEVICE void load_matrices(uint32_t (&r)[4], const void *row) {
  uint32_t from = static_cast<uint32_t>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(from)
               : "memory");
}
DEVICE void load_matrices_transposed(uint32_t (&r)[4], const void *row) {
  uint32_t from = static_cast<uint32_t>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(from)
               : "memory");
}

// c += a b for a 16 by 16, b 16 by 8 (TF32: 16 by 8 and 8 by 8), by the fragments of the PTX manual.
DEVICE void multiply_fragments(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], bf16) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
               "{%0, %1, %2, %3};"
               : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
DEVICE void multiply_fragments(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], f16) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
               "{%0, %1, %2, %3};"
               : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
DEVICE void multiply_tf32(float (&c)[4], const float (&a)[4], const float (&b)[2]) {
  asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
               "{%0, %1, %2, %3};"
               : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
               : "r"(__float_as_uint(a[0])), "r"(__float_as_uint(a[1])), "r"(__float_as_uint(a[2])),
                 "r"(__float_as_uint(a[3])), "r"(__float_as_uint(b[0])), "r"(__float_as_uint(b[1])));
}

} // namespace retnet::device

#else
#include "emulation.h"
#endif

namespace retnet::device {

// The same for all elements: 4 g + t = lane.
DEVICE int lane_index() { return thread_index() % 32; }
DEVICE int warp_index() { return thread_index() / 32; }

template <class T> DEVICE T rounded(float x) {
  T y;
  round_to(x, y);
  return y;
}

// Loads and stores neighboring elements at a multiple of their size together.
DEVICE void load_pair(const float *from, float &a, float &b) {
  a = from[0];
  b = from[1];
}
template <class T> DEVICE void load_pair(const T *from, float &a, float &b) {
  uint32_t pair = *reinterpret_cast<const uint32_t *>(from);
  a = to_float(T{static_cast<uint16_t>(pair)});
  b = to_float(T{static_cast<uint16_t>(pair >> 16)});
}
DEVICE void store_pair(float *to, float a, float b) {
  to[0] = a;
  to[1] = b;
}
template <class T> DEVICE void store_pair(T *to, float a, float b) {
  *reinterpret_cast<uint32_t *>(to) = pack(a, b, T{});
}

// Elements 16 bytes at a time.
template <class T> struct alignas(16) Unit {
  static constexpr int kCount = 16 / sizeof(T);
  T elements[kCount];
};

// The sum over all lanes of a warp, in the same order for each.
template <class Number> DEVICE Number warp_sum(Number x) {
  UNROLL for (int mask = 16; mask > 0; mask /= 2) x += shuffle_xor(x, mask);
  return x;
}
DEVICE float warp_maximum(float x) {
  UNROLL for (int mask = 16; mask > 0; mask /= 2) {
    float y = shuffle_xor(x, mask);
    x = y > x ? y : x;
  }
  return x;
}

// The sum over the threads of a block, for each of them; `scratch` has room for 8 numbers, and barriers protect it.
template <int kThreads> DEVICE float block_sum(float x, float *scratch) {
  x = warp_sum(x);
  if (lane_index() == 0)
    scratch[warp_index()] = x;
  barrier();
  float sum = 0;
  UNROLL for (int i = 0; i < kThreads / 32; i++) sum += scratch[i];
  barrier();
  return sum;
}

// The elements of the piece of 16 bytes that begins at `begin`; fewer at the end of `size` elements.
template <class T> DEVICE int size_of_piece(int64_t begin, int64_t size) {
  return size - begin < Unit<T>::kCount ? static_cast<int>(size - begin) : Unit<T>::kCount;
}
// The first element of this thread's piece, where every thread of the grid has one.
template <class T, int kThreads> DEVICE int64_t first_of_piece() {
  return (static_cast<int64_t>(block_index(0)) * kThreads + thread_index()) * Unit<T>::kCount;
}
// Calls body(index, count) for pieces of at most 16 bytes of a row of `size` elements that belong to this thread.
template <class T, int kThreads, class Body> DEVICE void each_piece(int64_t size, Body body) {
  constexpr int kCount = Unit<T>::kCount;
  for (int64_t i = thread_index() * kCount; i < size; i += kThreads * kCount)
    body(i, size_of_piece<T>(i, size));
}
// Elements of such a piece as floats; `aligned` if it begins at a multiple of 16 bytes.
template <class T>
DEVICE void read_piece(float (&x)[Unit<T>::kCount], const T *from, int count, bool aligned) {
  if (aligned && count == Unit<T>::kCount) {
    Unit<T> unit = *reinterpret_cast<const Unit<T> *>(from);
    UNROLL for (int i = 0; i < Unit<T>::kCount; i++) x[i] = to_float(unit.elements[i]);
  } else {
    UNROLL for (int i = 0; i < Unit<T>::kCount; i++) x[i] = i < count ? to_float(from[i]) : 0.0f;
  }
}
template <class T>
DEVICE void write_piece(const float (&x)[Unit<T>::kCount], T *to, int count, bool aligned) {
  if (aligned && count == Unit<T>::kCount) {
    Unit<T> unit;
    UNROLL for (int i = 0; i < Unit<T>::kCount; i++) round_to(x[i], unit.elements[i]);
    *reinterpret_cast<Unit<T> *>(to) = unit;
  } else {
    UNROLL for (int i = 0; i < Unit<T>::kCount; i++)
      if (i < count)
        round_to(x[i], to[i]);
  }
}

} // namespace retnet::device
