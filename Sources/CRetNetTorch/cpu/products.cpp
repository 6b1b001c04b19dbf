// Products of a few rows with a weight, for processors: threads share the rows of the weight.
#include "operators.h"

namespace ctorch::cpu {

at::Tensor few_rows(const at::Tensor &x, const at::Tensor &weight, const at::Tensor &bias) {
  int64_t size = x.size(-1), rows = x.numel() / size, columns = weight.size(0);
  auto shape = x.sizes().vec();
  shape.back() = columns;
  auto y = make::empty(shape, x.options());
  auto wide = x.to(accumulator_type(x.scalar_type())).contiguous(), b = contiguous(bias);
  int64_t blocks = (columns + kProductColumns - 1) / kProductColumns;
  with_element(x.scalar_type(), [&]<class T>() {
    using A = typename Accumulator<T>::type;
    parallel_for(blocks, row_grain(kProductColumns * size), [&](int64_t begin, int64_t end) {
      product_kernels<T>().few_rows(data<A>(wide), data<T>(weight), data<T>(b), mutable_data<T>(y), rows,
                                    begin * kProductColumns, std::min(end * kProductColumns, columns), columns, size);
    });
  });
  return y;
}

} // namespace ctorch::cpu
