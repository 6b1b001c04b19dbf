// Kernels for processors, which need nothing but the C++ library: one table, whose functions are compiled for several
// instruction sets (cpu/) and chosen once for the processor at hand.
#pragma once

#include "attention.h"
#include "averages.h"
#include "decoding.h"
#include "matrix_states.h"
#include "products.h"
#include "retention.h"
#include "rows.h"
#include "state_spaces.h"
#include "stream_rows.h"
#include "streams.h"

namespace retnet {

// All kernels for elements of type T.
template <class T> struct ElementKernels {
  RowKernels<T> rows;
  StreamKernels<T> streams;
  MatrixStateKernels<T> matrix_states;
  AverageKernels<T> averages;
  StateSpaceKernels<T> state_spaces;
  ProductKernels<T> products;
  AttentionKernels<T> attention;
  RetentionKernels<T> retention;
  ScoreRows<T> scores;
  StreamRows<T, T> stream_rows;
};

struct KernelTable {
  const char *instruction_set;
  ElementKernels<float> float32;
  ElementKernels<double> float64;
  ElementKernels<BF16> bfloat16;
  StreamRows<BF16, float> wide_stream_rows; // a float32 stream with bfloat16 branches
  DecodingKernels decoding;

  template <class T> const ElementKernels<T> &of() const;
};

template <> inline const ElementKernels<float> &KernelTable::of() const { return float32; }
template <> inline const ElementKernels<double> &KernelTable::of() const { return float64; }
template <> inline const ElementKernels<BF16> &KernelTable::of() const { return bfloat16; }

// The kernels for the processor at hand: the best set that it has, or the one that the variable RETNET_KERNELS of the
// environment names, where it has that.
const KernelTable &kernels();
// The sets that the processor has, the best one first, then null; and the one of a name, or null.
const KernelTable *available_table(int32_t index);
const KernelTable *kernel_table(const char *name);

template <class T> const RowKernels<T> &row_kernels() { return kernels().of<T>().rows; }
template <class T> const StreamKernels<T> &stream_kernels() { return kernels().of<T>().streams; }
template <class T> const MatrixStateKernels<T> &matrix_state_kernels() { return kernels().of<T>().matrix_states; }
template <class T> const AverageKernels<T> &average_kernels() { return kernels().of<T>().averages; }
template <class T> const StateSpaceKernels<T> &state_space_kernels() { return kernels().of<T>().state_spaces; }
template <class T> const ProductKernels<T> &product_kernels() { return kernels().of<T>().products; }
template <class T> const AttentionKernels<T> &attention_kernels() { return kernels().of<T>().attention; }
template <class T> const RetentionKernels<T> &retention_kernels() { return kernels().of<T>().retention; }
template <class T> const ScoreRows<T> &score_rows() { return kernels().of<T>().scores; }
// T: branches. S: the stream, T itself or its accumulator.
template <class T, class S> const StreamRows<T, S> &stream_rows() { return kernels().of<T>().stream_rows; }
template <> inline const StreamRows<BF16, float> &stream_rows() { return kernels().wide_stream_rows; }

} // namespace retnet
