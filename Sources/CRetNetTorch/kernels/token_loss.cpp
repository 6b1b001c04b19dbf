// The cross entropy of rows of logits with the logarithm of their normaliser, both differentiable.
//
//   loss_n = z_n - l_n[target],  z_n = log sum_v exp l_n[v]        (0 where the target is -100; z is always there)
//
// One pass over the logits each way, whatever their type, with sums in float32 (float64 for float64 logits).
#include "operators.h"

namespace ctorch {
namespace {

constexpr int64_t kIgnored = -100;

struct TokenLoss : torch::autograd::Function<TokenLoss> {
  static variable_list forward(AutogradContext *ctx, const at::Tensor &logits, const at::Tensor &targets) {
    int64_t rows = logits.size(0), size = logits.size(1);
    auto losses = at::zeros({rows}, logits.options().dtype(accumulator_type(logits.scalar_type())));
    auto log_sums = at::empty_like(losses);
    const int64_t *labels = targets.const_data_ptr<int64_t>();
    with_element(logits.scalar_type(), [&]<class T>() {
      using A = typename Accumulator<T>::type;
      const T *l = data<T>(logits);
      A *loss = mutable_data<A>(losses), *z = mutable_data<A>(log_sums);
      parallel_for(rows, row_grain(size), [&](int64_t begin, int64_t end) {
        for (int64_t n = begin; n < end; n++)
          z[n] = score_rows<T>().log_sum(l + n * size, size);
      });
      auto picked = logits.gather(1, targets.clamp_min(0).unsqueeze(1)).squeeze(1).to(losses.scalar_type());
      const A *p = data<A>(picked);
      for (int64_t n = 0; n < rows; n++)
        loss[n] = labels[n] == kIgnored ? A(0) : z[n] - p[n];
    });
    ctx->save_for_backward({logits, targets, log_sums});
    return {losses, log_sums};
  }

  static variable_list backward(AutogradContext *ctx, variable_list gradients) {
    auto saved = ctx->get_saved_variables();
    const auto &logits = saved[0], &targets = saved[1], &log_sums = saved[2];
    int64_t rows = logits.size(0), size = logits.size(1);
    auto d_loss = gradients[0].contiguous(), d_z = gradients[1].contiguous();
    auto out = at::empty_like(logits);
    const int64_t *labels = targets.const_data_ptr<int64_t>();
    with_element(logits.scalar_type(), [&]<class T>() {
      using A = typename Accumulator<T>::type;
      const T *l = data<T>(logits);
      const A *z = data<A>(log_sums), *dl = data<A>(d_loss), *dz = data<A>(d_z);
      T *g = mutable_data<T>(out);
      parallel_for(rows, row_grain(size), [&](int64_t begin, int64_t end) {
        for (int64_t n = begin; n < end; n++)
          score_rows<T>().log_sum_backward(l + n * size, z[n], (labels[n] == kIgnored ? A(0) : dl[n]) + dz[n],
                                           g + n * size, size);
      });
    });
    auto counted = d_loss.masked_fill(targets == kIgnored, 0).neg().to(out.scalar_type());
    out.scatter_add_(1, targets.clamp_min(0).unsqueeze(1), counted.unsqueeze(1));
    return {out, at::Tensor()};
  }
};

} // namespace
} // namespace ctorch

using namespace ctorch;

ct_status ct_token_loss(ct_tensor *losses, ct_tensor *log_sums, ct_tensor logits, ct_tensor targets) {
  return guarded([&] {
    const auto &l = logits->value;
    const auto &t = targets->value;
    TORCH_CHECK_VALUE(l.dim() == 2 && t.dim() == 1 && t.size(0) == l.size(0) && t.scalar_type() == at::kLong,
                      "logits [N, V] need int64 targets [N], found ", l.sizes(), " and ", t.sizes());
    TORCH_CHECK_INDEX(((t >= 0).logical_and(t < l.size(1)).logical_or(t == kIgnored)).all().item<bool>(),
                      "a target lies outside the vocabulary of ", l.size(1));
    if (has_row_kernels(l)) {
      auto results = TokenLoss::apply(l.contiguous(), t.contiguous());
      *losses = box(results[0]);
      *log_sums = box(results[1]);
      return;
    }
    auto wide = l.to(accumulator_type(l.scalar_type()));
    auto z = at::logsumexp(wide, 1);
    auto picked = wide.gather(1, t.clamp_min(0).unsqueeze(1)).squeeze(1);
    *losses = box((z - picked).masked_fill(t == kIgnored, 0));
    *log_sums = box(z);
  });
}
