// Steps of optimizers for processors: one pass over parameters, gradients and moments.
#include "operators.h"

namespace ctorch::cpu {

void adamw(const AdamWStep &step) {
  // Small parameters share the threads, too.
  struct Piece {
    size_t tensor;
    int64_t begin, size;
  };
  std::vector<Piece> pieces;
  for (size_t i = 0; i < step.parameters.size(); i++)
    for (auto span : spans(step.parameters[i].numel(), 1 << 16))
      pieces.push_back({i, span.start, span.length});
  with_element(step.parameters[0].scalar_type(), [&]<class T>() {
    if constexpr (std::is_same_v<T, typename Accumulator<T>::type>) {
      auto place = [](const at::Tensor &x, const Piece &piece) { return mutable_data<T>(x) + piece.begin; };
      parallel_for(static_cast<int64_t>(pieces.size()), 1, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; i++) {
          const auto &piece = pieces[i];
          update_kernels<T>().adamw(place(step.parameters[piece.tensor], piece),
                                    data<T>(step.gradients[piece.tensor]) + piece.begin,
                                    place(step.first[piece.tensor], piece), place(step.second[piece.tensor], piece),
                                    step.factors, piece.size);
        }
      });
    }
  });
}

} // namespace ctorch::cpu
