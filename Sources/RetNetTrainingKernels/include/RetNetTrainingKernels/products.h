// Products of a few rows with a matrix, which cost the reading of the matrix.
#pragma once

#include <RetNetKernels/elements.h>

namespace retnet {

// Columns that the widest tile of `few_rows` takes at once: ranges of columns should begin at multiples of it.
constexpr int64_t kProductColumns = 8;

template <class T> struct ProductKernels {
  using Acc = typename Accumulator<T>::type;

  // y[r, n] = x[r] . weight[n] + bias[n] for all r < rows and n in [begin, end), with x [rows, size],
  // weight [columns, size], bias [columns] or null, and y [rows, columns]. Every element of y is summed in the same
  // order whatever the number of rows.
  void (*few_rows)(const Acc *x, const T *weight, const T *bias, T *y, int64_t rows, int64_t begin, int64_t end,
                   int64_t columns, int64_t size);
};

} // namespace retnet
