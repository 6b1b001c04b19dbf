// An output matrix together with the loss of its logits, for processors.
//
//   l_n = x_n W^T + b        loss = sum over targets of z_n - l_n[target] + c z_n^2,   z_n = log sum_v exp l_n[v]
//
// Logits are formed for as many rows as fit into a block of some megabytes. Where gradients are wanted, the logits of a block
// become their own gradients at once, and those of x, W and b are formed from them in the forward pass: nothing is computed
// again, and the backward pass only multiplies by the gradient of the loss, which is one number. The sum over blocks of the
// gradient by W is kept in the accumulator type.
#include "../ops/products.h"
#include "operators.h"

#include <cmath>
#include <cstring>

namespace ctorch::cpu {
namespace {

// Bytes of logits at a time: with gradients, since every block adds to the whole gradient by W; and without, so that they
// stay in the caches.
constexpr int64_t kBytesWithGradients = int64_t(1) << 26, kBytesWithout = int64_t(1) << 23;

// Rows of a block, all blocks about equally long.
int64_t block_rows(int64_t rows, int64_t row_bytes, int64_t budget) {
  int64_t most = std::max<int64_t>(1, budget / std::max<int64_t>(row_bytes, 1));
  int64_t blocks = (rows + most - 1) / most;
  return (rows + blocks - 1) / blocks;
}

// Results of every row; undefined where they are not wanted.
struct RowLosses {
  at::Tensor losses, entropies, hits;
};

// True if no logit is larger than that of the target, and none before it as large.
template <class T> bool is_largest(const T *logits, int64_t size, int64_t target) {
  auto value = widened(logits[target]);
  for (int64_t j = 0; j < size; j++)
    if (auto other = widened(logits[j]); other > value || (other == value && j < target))
      return false;
  return true;
}

// The losses of the rows [first, first + count) from their logits, which become their gradients if those are wanted.
void score_block(const at::Tensor &logits, const at::Tensor &targets, int64_t first, double z_loss, bool differentiates,
                 const RowLosses &out) {
  int64_t count = logits.size(0), size = logits.size(1);
  const int64_t *labels = targets.const_data_ptr<int64_t>() + first;
  with_element(logits.scalar_type(), [&]<class T>() {
    using A = typename Accumulator<T>::type;
    T *l = mutable_data<T>(logits);
    A *losses = mutable_data<A>(out.losses) + first, *entropies = mutable_data<A>(out.entropies) + first;
    A *hits = out.hits.defined() ? mutable_data<A>(out.hits) + first : nullptr;
    parallel_for(count, row_grain(size), [&](int64_t begin, int64_t end) {
      for (int64_t n = begin; n < end; n++) {
        T *row = l + n * size;
        int64_t label = labels[n];
        if (label == kIgnored) {
          if (differentiates)
            std::memset(static_cast<void *>(row), 0, static_cast<size_t>(size) * sizeof(T));
          continue;
        }
        A z = score_rows<T>().log_sum(row, size), picked = widened(row[label]);
        entropies[n] = z - picked;
        losses[n] = entropies[n] + A(z_loss) * z * z;
        if (hits)
          hits[n] = is_largest(row, size, label) ? A(1) : A(0);
        if (!differentiates)
          continue;
        A factor = A(1) + A(2 * z_loss) * z;
        score_rows<T>().log_sum_backward(row, z, factor, row, size);
        // Not by the rounded probability of the target, which may be 1 in 16 bits.
        A value = factor * std::exp(picked - z) - A(1);
        row_kernels<T>().store(&value, A(1), row + label, 1);
      }
    });
  });
}

} // namespace

variable_list output_loss(const OutputLoss &o) {
  bool enabled = at::GradMode::is_enabled(), need_x = enabled && o.x.requires_grad();
  bool need_weight = enabled && o.weight.requires_grad();
  bool need_bias = enabled && o.bias.defined() && o.bias.requires_grad();
  bool differentiates = need_x || need_weight || need_bias;
  auto forward = [&]() -> Pass {
    auto type = o.x.scalar_type();
    // On a processor that does not multiply bfloat16, logits are float32 too.
    auto product_type = multiplies_in_float32(o.x) ? at::kFloat : type;
    auto wide = accumulator_type(type);
    auto weight = o.weight.to(product_type).contiguous();
    auto bias = o.bias.defined() ? o.bias.to(product_type) : o.bias;
    int64_t rows = o.x.size(0), size = weight.size(0);
    auto numbers = o.x.options().dtype(wide);
    RowLosses out{make::zeros({rows}, numbers), make::zeros({rows}, numbers),
                  o.counts_hits ? make::zeros({rows}, numbers) : at::Tensor()};
    at::Tensor d_x, d_weight, d_bias;
    if (need_x)
      d_x = make::empty(o.x.sizes(), o.x.options());
    int64_t row_bytes = size * static_cast<int64_t>(weight.element_size());
    int64_t budget = o.block_bytes > 0 ? o.block_bytes : differentiates ? kBytesWithGradients : kBytesWithout;
    int64_t block = block_rows(rows, row_bytes, budget);
    for (auto span : spans(rows, block)) {
      auto x = o.x.narrow(0, span.start, span.length).to(product_type);
      auto logits = x.mm(weight.t());
      if (bias.defined())
        logits.add_(bias);
      score_block(logits, o.targets, span.start, o.z_loss, differentiates, out);
      if (need_x)
        d_x.narrow(0, span.start, span.length).copy_(logits.mm(weight));
      if (need_weight) {
        auto part = logits.t().mm(x);
        if (!d_weight.defined())
          d_weight = part.to(block < rows ? wide : o.weight.scalar_type());
        else
          accumulate(d_weight, at::Tensor(), part);
      }
      if (need_bias) {
        auto part = logits.sum(at::IntArrayRef{0}, false, wide);
        d_bias = d_bias.defined() ? d_bias.add_(part) : part;
      }
    }
    if (d_weight.defined())
      d_weight = d_weight.to(o.weight.scalar_type());
    if (d_bias.defined())
      d_bias = d_bias.to(o.bias.scalar_type());
    variable_list outputs{out.losses.sum(), out.entropies.sum()};
    if (o.counts_hits)
      outputs.push_back(out.hits.sum());
    return {outputs, {d_x, d_weight, d_bias}};
  };
  auto backward = [](const variable_list &saved, variable_list &gradients) -> variable_list {
    if (!gradients[0].defined())
      return {};
    double factor = gradients[0].item().toDouble();
    // In place: these are megabytes, and nobody else has them.
    for (const auto &gradient : saved)
      if (gradient.defined() && factor != 1)
        gradient.mul_(factor);
    return saved;
  };
  return record({o.x, o.weight, o.bias}, forward, backward, MissingGradients::undefined);
}

} // namespace ctorch::cpu
