// Kernels of training for processors, forward and backward: one table, whose functions are compiled for several instruction
// sets (cpu/). The set is the one that RetNetKernels chooses.
#pragma once

#include "attention.h"
#include "averages.h"
#include "matrix_states.h"
#include "products.h"
#include "retention.h"
#include "rows.h"
#include "short_convolutions.h"
#include "state_spaces.h"
#include "stream_rows.h"
#include "streams.h"
#include "updates.h"

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
  UpdateKernels<T> updates;
  ShortConvolutionKernels<T> short_convolutions;
};

struct TrainingTable {
  ElementKernels<float> float32;
  ElementKernels<double> float64;
  ElementKernels<BF16> bfloat16;
  StreamRows<BF16, float> wide_stream_rows; // a float32 stream with bfloat16 branches

  template <class T> const ElementKernels<T> &of() const;
};

template <> inline const ElementKernels<float> &TrainingTable::of() const { return float32; }
template <> inline const ElementKernels<double> &TrainingTable::of() const { return float64; }
template <> inline const ElementKernels<BF16> &TrainingTable::of() const { return bfloat16; }

// The kernels for the instruction set of `kernels()`.
const TrainingTable &training_kernels();

template <class T> const RowKernels<T> &row_kernels() { return training_kernels().of<T>().rows; }
template <class T> const StreamKernels<T> &stream_kernels() { return training_kernels().of<T>().streams; }
template <class T> const MatrixStateKernels<T> &matrix_state_kernels() { return training_kernels().of<T>().matrix_states; }
template <class T> const AverageKernels<T> &average_kernels() { return training_kernels().of<T>().averages; }
template <class T> const StateSpaceKernels<T> &state_space_kernels() { return training_kernels().of<T>().state_spaces; }
template <class T> const ProductKernels<T> &product_kernels() { return training_kernels().of<T>().products; }
template <class T> const AttentionKernels<T> &attention_kernels() { return training_kernels().of<T>().attention; }
template <class T> const RetentionKernels<T> &retention_kernels() { return training_kernels().of<T>().retention; }
template <class T> const ScoreRows<T> &score_rows() { return training_kernels().of<T>().scores; }
template <class T> const ShortConvolutionKernels<T> &short_convolution_kernels() {
  return training_kernels().of<T>().short_convolutions;
}
template <class T> const UpdateKernels<T> &update_kernels() { return training_kernels().of<T>().updates; }
// T: branches. S: the stream, T itself or its accumulator.
template <class T, class S> const StreamRows<T, S> &stream_rows() { return training_kernels().of<T>().stream_rows; }
template <> inline const StreamRows<BF16, float> &stream_rows() { return training_kernels().wide_stream_rows; }

} // namespace retnet
