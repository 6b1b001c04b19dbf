// The primitives of device.cuh for a processor: the text of the kernels is compiled as C++ and runs block by block.
//
// Every thread of a block is a fiber: it runs until it has to wait for others, at a barrier or at an instruction that all
// lanes of a warp execute together. The lane that arrives last computes such an instruction for all 32, from the fragments
// that the PTX manual documents. What a device leaves open is made as bad as possible: shared memory is NaN at the start
// of a block, asynchronous copies happen only when they are waited for, threads run as far ahead as they can, and the
// order of warps, lanes and blocks can be changed, so that a missing barrier gives other results.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#define DEVICE inline
#define UNROLL
#define UNROLL_BY_2
#define KEEP_LOOP

namespace retnet::emulation {

struct Block {
  int index[3], count[3];
  char *shared;
};
extern thread_local int current_thread;
extern thread_local Block current_block;

void wait_for_block();
// Waits until all lanes of the warp are here with the same `combine`, which is called once with what each of them gave.
void with_warp(void (*combine)(void *const *lanes), void *lane);
void add_copy(void *shared, const void *global, int bytes);
void end_copy_group();
void finish_copies(int pending_groups);
// Ends the launch with an error if `row` is not an aligned row of 16 bytes in shared memory.
void check_shared_row(const void *row);

template <class Number> struct Shuffle {
  Number value, result;
  int by;
};

} // namespace retnet::emulation

namespace retnet::device {

inline int thread_index() { return emulation::current_thread; }
inline int block_index(int axis) { return emulation::current_block.index[axis]; }
inline int block_count(int axis) { return emulation::current_block.count[axis]; }
inline char *shared_memory() { return emulation::current_block.shared; }
inline void barrier() { emulation::wait_for_block(); }

template <class Number> Number shuffle_xor(Number x, int mask) {
  emulation::Shuffle<Number> own{x, x, mask};
  emulation::with_warp(
      [](void *const *lanes) {
        auto at = [&](int lane) { return static_cast<emulation::Shuffle<Number> *>(lanes[lane]); };
        for (int lane = 0; lane < 32; lane++)
          at(lane)->result = at(lane ^ at(lane)->by)->value;
      },
      &own);
  return own.result;
}
inline double shuffle_up(double x, int distance) {
  emulation::Shuffle<double> own{x, x, distance};
  emulation::with_warp(
      [](void *const *lanes) {
        auto at = [&](int lane) { return static_cast<emulation::Shuffle<double> *>(lanes[lane]); };
        for (int lane = 0; lane < 32; lane++)
          at(lane)->result = at(lane < at(lane)->by ? lane : lane - at(lane)->by)->value;
      },
      &own);
  return own.result;
}

inline uint32_t count_block(uint32_t *counter) { return (*counter)++; }

inline float read_fresh(const float *from) { return *from; }

inline float power_of_two(float x) { return std::exp2(x); }
inline float exponential(float x) { return std::exp(x); }
inline float logarithm(float x) { return std::log(x); }
inline float error_function(float x) { return std::erf(x); }
inline float inverse_root(float x) { return 1.0f / std::sqrt(x); }
inline float fused(float a, float b, float c) { return std::fma(a, b, c); }

template <class To, class From> To bits_as(From from) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  std::memcpy(&to, &from, sizeof to);
  return to;
}

inline float to_float(float x) { return x; }
inline float to_float(bf16 x) { return bits_as<float>(static_cast<uint32_t>(x.bits) << 16); }
inline float to_float(f16 x) {
  uint32_t sign = (x.bits & 0x8000u) << 16, exponent = x.bits >> 10 & 31, fraction = x.bits & 1023;
  if (exponent == 0)
    return bits_as<float>(sign | bits_as<uint32_t>(static_cast<float>(fraction) * 0x1p-24f));
  return bits_as<float>(sign | (exponent == 31 ? 255 : exponent + 112) << 23 | fraction << 13);
}
// To the nearest, ties to even.
inline void round_to(float x, float &y) { y = x; }
inline void round_to(float x, bf16 &y) {
  uint32_t bits = bits_as<uint32_t>(x);
  y.bits = x != x ? 0x7fff : static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}
inline void round_to(float x, f16 &y) {
  uint32_t bits = bits_as<uint32_t>(x), sign = bits >> 16 & 0x8000, size = bits & 0x7fffffff;
  if (size > 0x7f800000)
    y.bits = 0x7fff;
  else if (size >= 0x477ff000)
    y.bits = static_cast<uint16_t>(sign | 0x7c00);
  else if (size < 0x38800000) // below 2^-14: in steps of 2^-24
    y.bits = static_cast<uint16_t>(sign | static_cast<uint32_t>(std::nearbyint(std::fabs(x) * 0x1p24f)));
  else
    y.bits = static_cast<uint16_t>(sign | (size - 0x38000000 + 0xfff + (size >> 13 & 1)) >> 13);
}
template <class T> uint32_t pack(float low, float high, T) {
  T a, b;
  round_to(low, a);
  round_to(high, b);
  return a.bits | static_cast<uint32_t>(b.bits) << 16;
}
// Ties away from zero, as cvt.rna has it.
inline float round_to_tf32(float x) { return bits_as<float>((bits_as<uint32_t>(x) + 0x1000) & ~0x1fffu); }

inline void copy_async(void *shared, const void *global, int bytes) { emulation::add_copy(shared, global, bytes); }
inline void end_copies() { emulation::end_copy_group(); }
template <int kPending> void wait_for_copies() { emulation::finish_copies(kPending); }

struct MatrixLoad {
  uint32_t *r;
  const void *row;
};
template <bool kIsTransposed> void load_emulated(uint32_t (&r)[4], const void *row) {
  emulation::check_shared_row(row);
  MatrixLoad own{r, row};
  emulation::with_warp(
      [](void *const *lanes) {
        auto at = [&](int lane) { return static_cast<MatrixLoad *>(lanes[lane]); };
        for (int matrix = 0; matrix < 4; matrix++) {
          uint16_t x[8][8];
          for (int row = 0; row < 8; row++)
            std::memcpy(x[row], at(matrix * 8 + row)->row, 16);
          for (int lane = 0; lane < 32; lane++) {
            int g = lane / 4, t = lane % 4;
            uint32_t low = kIsTransposed ? x[2 * t][g] : x[g][2 * t];
            uint32_t high = kIsTransposed ? x[2 * t + 1][g] : x[g][2 * t + 1];
            at(lane)->r[matrix] = low | high << 16;
          }
        }
      },
      &own);
}
inline void load_matrices(uint32_t (&r)[4], const void *row) { load_emulated<false>(r, row); }
inline void load_matrices_transposed(uint32_t (&r)[4], const void *row) { load_emulated<true>(r, row); }

template <class Word> struct Product {
  float *c;
  const Word *a, *b;
};

// c [16, 8] += a [16, kTerms] b [kTerms, 8], and back to the lanes.
template <int kTerms, class Word> void multiply_matrices(void *const *lanes, const float (&a)[16][kTerms],
                                                         const float (&b)[kTerms][8]) {
  float c[16][8];
  auto each = [&](auto body) {
    for (int lane = 0; lane < 32; lane++)
      for (int i = 0; i < 4; i++)
        body(static_cast<Product<Word> *>(lanes[lane])->c[i], c[lane / 4 + (i >> 1) * 8][lane % 4 * 2 + (i & 1)]);
  };
  each([](float &lane, float &matrix) { matrix = lane; });
  for (int row = 0; row < 16; row++)
    for (int k = 0; k < kTerms; k++)
      for (int column = 0; column < 8; column++)
        c[row][column] += a[row][k] * b[k][column];
  each([](float &lane, float &matrix) { lane = matrix; });
}

template <class T> void multiply_fragments(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], T) {
  Product<uint32_t> own{c, a, b};
  emulation::with_warp(
      [](void *const *lanes) {
        float x[16][16], y[16][8];
        auto element = [](uint32_t word, int half) { return to_float(T{static_cast<uint16_t>(word >> 16 * half)}); };
        for (int lane = 0; lane < 32; lane++) {
          auto own = static_cast<Product<uint32_t> *>(lanes[lane]);
          int g = lane / 4, t = lane % 4;
          for (int half = 0; half < 2; half++) {
            for (int i = 0; i < 4; i++)
              x[g + (i & 1) * 8][2 * t + half + (i >> 1) * 8] = element(own->a[i], half);
            for (int i = 0; i < 2; i++)
              y[2 * t + half + i * 8][g] = element(own->b[i], half);
          }
        }
        multiply_matrices<16, uint32_t>(lanes, x, y);
      },
      &own);
}

inline void multiply_tf32(float (&c)[4], const float (&a)[4], const float (&b)[2]) {
  Product<float> own{c, a, b};
  emulation::with_warp(
      [](void *const *lanes) {
        float x[16][8], y[8][8];
        // The multiplier reads no more than 10 bits of the fraction.
        auto read = [](float word) { return bits_as<float>(bits_as<uint32_t>(word) & ~0x1fffu); };
        for (int lane = 0; lane < 32; lane++) {
          auto own = static_cast<Product<float> *>(lanes[lane]);
          int g = lane / 4, t = lane % 4;
          for (int i = 0; i < 4; i++)
            x[g + (i & 1) * 8][t + (i >> 1) * 4] = read(own->a[i]);
          for (int i = 0; i < 2; i++)
            y[t + i * 4][g] = read(own->b[i]);
        }
        multiply_matrices<8, float>(lanes, x, y);
      },
      &own);
}

} // namespace retnet::device
