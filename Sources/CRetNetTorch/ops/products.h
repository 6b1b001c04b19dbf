// Products of many rows with a weight, and the two of their gradients. bfloat16 on a processor that does not multiply it
// is converted block by block of rows: products and sums are float32, results are stored in 16 bits.
#pragma once

#include "../library/aten.h"

namespace ctorch {

// x [N, K] times weight [S, K] transposed -> [N, S]
at::Tensor times_transposed(const at::Tensor &x, const at::Tensor &weight);
// d [N, S] times weight [S, K] -> [N, K]
at::Tensor times(const at::Tensor &d, const at::Tensor &weight);
// d [N, S] transposed times x [N, K] -> [S, K], in the type of d
at::Tensor transposed_times(const at::Tensor &d, const at::Tensor &x);

} // namespace ctorch
