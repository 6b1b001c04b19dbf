// Products of tiles by tensor cores, one warp at a time.
//
// With lane = 4 g + t, a fragment of rows (16 rows, 16 terms k) holds of rows g and g + 8 the terms 2 t, 2 t + 1, 2 t + 8
// and 2 t + 9; a fragment of columns (16 terms, 8 columns) those terms of column g; and the four sums of a lane belong to
// row g (the first two) and g + 8, columns 2 t and 2 t + 1 (mma.m16n8k16 of the PTX manual). Sums of 16 rows over terms
// 2 t, 2 t + 1 of two neighboring tiles are therefore fragments of columns as they are, with rows as columns.
//
// Float32 is multiplied as three products of TF32: x = big + small, and small * small is less than the rounding of the
// sum. As terms may be summed in any order, a lane's terms 2 t and 2 t + 1 serve as the terms t and t + 4 of m16n8k8, and
// both kinds of elements have the same fragments.
#pragma once

#include "device.cuh"

namespace retnet::device {

template <class T> struct RowFragment {
  uint32_t r[4]; // rows g, g + 8 of terms 2 t, 2 t + 1; then of terms 2 t + 8, 2 t + 9
};
template <class T> struct ColumnFragment {
  uint32_t r[2];
};
template <> struct RowFragment<float> {
  float x[8];
};
template <> struct ColumnFragment<float> {
  float x[4];
};

// ---- Fragments from tiles in shared memory whose rows are `stride` elements apart ----

// `tile` is [row][term].
template <class T> DEVICE void load_rows(RowFragment<T> &f, const T *tile, int stride) {
  int lane = lane_index(), matrix = lane / 8, row = lane % 8;
  load_matrices(f.r, tile + ((matrix & 1) * 8 + row) * stride + (matrix >> 1) * 8);
}
// `tile` is [term][row].
template <class T> DEVICE void load_rows_transposed(RowFragment<T> &f, const T *tile, int stride) {
  int lane = lane_index(), matrix = lane / 8, row = lane % 8;
  load_matrices_transposed(f.r, tile + ((matrix >> 1) * 8 + row) * stride + (matrix & 1) * 8);
}
// Columns 0 to 7 and 8 to 15; `tile` is [column][term].
template <class T> DEVICE void load_columns(ColumnFragment<T> (&f)[2], const T *tile, int stride) {
  int lane = lane_index(), matrix = lane / 8, row = lane % 8;
  uint32_t r[4];
  load_matrices(r, tile + ((matrix >> 1) * 8 + row) * stride + (matrix & 1) * 8);
  f[0].r[0] = r[0], f[0].r[1] = r[1], f[1].r[0] = r[2], f[1].r[1] = r[3];
}
// `tile` is [term][column].
template <class T> DEVICE void load_columns_transposed(ColumnFragment<T> (&f)[2], const T *tile, int stride) {
  int lane = lane_index(), matrix = lane / 8, row = lane % 8;
  uint32_t r[4];
  load_matrices_transposed(r, tile + ((matrix & 1) * 8 + row) * stride + (matrix >> 1) * 8);
  f[0].r[0] = r[0], f[0].r[1] = r[1], f[1].r[0] = r[2], f[1].r[1] = r[3];
}

// The i-th term of a lane among its four.
DEVICE int term(int i) { return 2 * (lane_index() % 4) + (i & 1) + (i >> 1) * 8; }

DEVICE void load_rows(RowFragment<float> &f, const float *tile, int stride) {
  int row = lane_index() / 4;
  UNROLL for (int i = 0; i < 8; i++)
    f.x[i] = tile[(row + (i >> 1 & 1) * 8) * stride + term((i >> 2) * 2 + (i & 1))];
}
DEVICE void load_rows_transposed(RowFragment<float> &f, const float *tile, int stride) {
  int row = lane_index() / 4;
  UNROLL for (int i = 0; i < 8; i++)
    f.x[i] = tile[term((i >> 2) * 2 + (i & 1)) * stride + row + (i >> 1 & 1) * 8];
}
DEVICE void load_columns(ColumnFragment<float> (&f)[2], const float *tile, int stride) {
  int column = lane_index() / 4;
  UNROLL for (int n = 0; n < 2; n++)
    UNROLL for (int i = 0; i < 4; i++) f[n].x[i] = tile[(column + n * 8) * stride + term(i)];
}
DEVICE void load_columns_transposed(ColumnFragment<float> (&f)[2], const float *tile, int stride) {
  int column = lane_index() / 4;
  UNROLL for (int n = 0; n < 2; n++)
    UNROLL for (int i = 0; i < 4; i++) f[n].x[i] = tile[term(i) * stride + column + n * 8];
}

// ---- Fragments from registers ----

// Columns from the sums of a lane over two neighboring tiles: terms 2 t, 2 t + 1 of the first and of the second.
template <class T> DEVICE void set_columns(ColumnFragment<T> &f, float a, float b, float c, float d) {
  f.r[0] = pack(a, b, T{});
  f.r[1] = pack(c, d, T{});
}
DEVICE void set_columns(ColumnFragment<float> &f, float a, float b, float c, float d) {
  f.x[0] = a, f.x[1] = b, f.x[2] = c, f.x[3] = d;
}

// Multiplies every term of all rows by the factor of that term.
template <class T> DEVICE void scale_terms(RowFragment<T> &f, const float (&factors)[4]) {
  UNROLL for (int i = 0; i < 4; i++) {
    int first = (i >> 1) * 2;
    f.r[i] = pack(to_float(T{static_cast<uint16_t>(f.r[i])}) * factors[first],
                  to_float(T{static_cast<uint16_t>(f.r[i] >> 16)}) * factors[first + 1], T{});
  }
}
DEVICE void scale_terms(RowFragment<float> &f, const float (&factors)[4]) {
  UNROLL for (int i = 0; i < 8; i++) f.x[i] *= factors[(i >> 2) * 2 + (i & 1)];
}

// ---- Products ----

template <class T> DEVICE void multiply(float (&sums)[4], const RowFragment<T> &a, const ColumnFragment<T> &b) {
  multiply_fragments(sums, a.r, b.r, T{});
}

DEVICE void multiply(float (&sums)[4], const RowFragment<float> &a, const ColumnFragment<float> &b) {
  UNROLL for (int half = 0; half < 2; half++) {
    const float x[4] = {a.x[4 * half], a.x[4 * half + 2], a.x[4 * half + 1], a.x[4 * half + 3]};
    const float y[2] = {b.x[2 * half], b.x[2 * half + 1]};
    float big_x[4], small_x[4], big_y[2], small_y[2];
    UNROLL for (int i = 0; i < 4; i++) {
      big_x[i] = round_to_tf32(x[i]);
      small_x[i] = round_to_tf32(x[i] - big_x[i]);
    }
    UNROLL for (int i = 0; i < 2; i++) {
      big_y[i] = round_to_tf32(y[i]);
      small_y[i] = round_to_tf32(y[i] - big_y[i]);
    }
    multiply_tf32(sums, small_x, big_y);
    multiply_tf32(sums, big_x, small_y);
    multiply_tf32(sums, big_x, big_y);
  }
}

} // namespace retnet::device
