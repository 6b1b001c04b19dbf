// Operators on rows for processors: rotation of heads, norms, activations, residual sums and the loss of tokens, each
// in one pass over memory each way.
//
// The head norm takes its epsilon per row: that is how the score factors of retention are applied without rescaling
// anything (RMSNorm(o / s; eps) = o / sqrt(mean(o^2) + eps s^2)). A residual stream may be wider than what is
// computed with: float32 under bfloat16 layers, so that sums over many layers keep what a single one adds. The loss
// of tokens is
//
//   loss_n = z_n - l_n[target],  z_n = log sum_v exp l_n[v]        (0 where the target is -100; z is always there)
#include "operators.h"

#include <cmath>

namespace ctorch::cpu {
namespace {

constexpr int64_t kBlock = 4096;
constexpr int64_t kPiece = 16384;

// to_heads: [B, T, H, A] -> [B, H, T, A]; otherwise back. sign -1 turns the other way.
at::Tensor rotate_rows(const at::Tensor &input, const at::Tensor &cosine, const at::Tensor &sine, bool interleaved,
                       double scale, double sign, bool to_heads) {
  int64_t batch = input.size(0), size = input.size(3);
  int64_t time = input.size(to_heads ? 1 : 2), heads = input.size(to_heads ? 2 : 1);
  auto x = input.stride(3) == 1 ? input : input.contiguous();
  auto out =
      make::empty(to_heads ? at::IntArrayRef{batch, heads, time, size} : at::IntArrayRef{batch, time, heads, size},
                  input.options());
  int64_t stride_b = x.stride(0), stride_t = x.stride(to_heads ? 1 : 2), stride_h = x.stride(to_heads ? 2 : 1);
  int64_t angle_rows = cosine.defined() && cosine.size(0) > 1 ? time : 0;
  with_element(input.scalar_type(), [&]<class T>() {
    using A = typename Accumulator<T>::type;
    const auto &kernels = row_kernels<T>();
    const T *from = data<T>(x);
    const A *c = data<A>(cosine), *s = data<A>(sine);
    T *to = mutable_data<T>(out);
    parallel_for(batch * time, row_grain(heads * size), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; i++) {
        int64_t b = i / time, t = i % time, angle = (b * angle_rows + t) * (size / 2);
        for (int64_t h = 0; h < heads; h++) {
          T *target = to + (to_heads ? ((b * heads + h) * time + t) : ((b * time + t) * heads + h)) * size;
          kernels.rotate(from + b * stride_b + t * stride_t + h * stride_h, c ? c + angle : nullptr,
                         s ? s + angle : nullptr, A(sign), A(scale), interleaved, target, size);
        }
      }
    });
  });
  return out;
}

// Rows of x lie as [B, H, T]; the matching rows of the gate and of the output as [B, T, H].
struct HeadRows {
  int64_t batch, heads, time, size;
  int64_t count() const { return batch * heads * time; }
  int64_t transposed(int64_t row) const {
    int64_t t = row % time, h = row / time % heads, b = row / (time * heads);
    return (b * time + t) * heads + h;
  }
  int64_t head(int64_t row) const { return row / time % heads; }
};

// Calls body<T, S>() with the types of branches and stream.
template <class Body> void with_stream(at::ScalarType branch, at::ScalarType stream, Body &&body) {
  with_element(branch, [&]<class T>() {
    if constexpr (std::is_same_v<T, BF16>) {
      if (stream == at::kBFloat16)
        body.template operator()<BF16, BF16>();
      else
        body.template operator()<BF16, float>();
    } else {
      body.template operator()<T, T>();
    }
  });
}

} // namespace

void accumulate(const at::Tensor &total, const at::Tensor &factors, const at::Tensor &given) {
  auto addend = given.contiguous();
  int64_t count = factors.defined() ? factors.numel() : 1, size = total.numel() / count;
  int64_t pieces = (size + kPiece - 1) / kPiece;
  with_element(addend.scalar_type(), [&]<class T>() {
    using A = typename Accumulator<T>::type;
    A *to = mutable_data<A>(total);
    const A *factor = data<A>(factors);
    const T *from = data<T>(addend);
    parallel_for(count * pieces, 2, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; i++) {
        int64_t n = i / pieces, first = i % pieces * kPiece, offset = n * size + first;
        row_kernels<T>().accumulate(to + offset, factor ? factor[n] : A(1), from + offset, std::min(kPiece, size - first));
      }
    });
  });
}

at::Tensor rotate_heads(const at::Tensor &x, const at::Tensor &cosine, const at::Tensor &sine, bool interleaved,
                        double scale) {
  auto forward = [&]() -> Pass {
    return {{rotate_rows(x, cosine, sine, interleaved, scale, 1, true)}, {cosine, sine}};
  };
  auto backward = [=](const variable_list &saved, variable_list &gradients) -> variable_list {
    return {rotate_rows(gradients[0], saved[0], saved[1], interleaved, scale, -1, false), {}, {}};
  };
  return record({x, cosine, sine}, forward, backward)[0];
}

at::Tensor head_norm(const at::Tensor &x, const at::Tensor &gate, const at::Tensor &epsilons,
                     const at::Tensor &weight, const at::Tensor &bias, ct_norm_kind kind, ct_activation activation) {
  auto forward = [&]() -> Pass {
    HeadRows rows{x.size(0), x.size(1), x.size(2), x.size(3)};
    auto out = make::empty({rows.batch, rows.time, rows.heads * rows.size}, x.options());
    int64_t epsilon_count = epsilons.numel();
    with_element(x.scalar_type(), [&]<class T>() {
      using A = typename Accumulator<T>::type;
      const T *in = data<T>(x), *g = data<T>(gate);
      const A *w = data<A>(weight), *c = data<A>(bias), *e = data<A>(epsilons);
      T *to = mutable_data<T>(out);
      parallel_for(rows.count(), row_grain(rows.size), [&](int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; row++) {
          int64_t other = rows.transposed(row) * rows.size, head = rows.head(row) * rows.size;
          row_kernels<T>().norm_forward(in + row * rows.size, g ? g + other : nullptr, w ? w + head : nullptr,
                                        c ? c + head : nullptr, e[row % epsilon_count], kind, activation, to + other,
                                        rows.size);
        }
      });
    });
    return {{out}, {x, gate, epsilons, weight, bias}};
  };
  auto backward = [kind, activation](const variable_list &saved, variable_list &gradients) -> variable_list {
    const auto &x = saved[0], &gate = saved[1], &epsilons = saved[2], &weight = saved[3], &bias = saved[4];
    HeadRows rows{x.size(0), x.size(1), x.size(2), x.size(3)};
    auto gradient = gradients[0].contiguous();
    auto x_gradient = make::empty_like(x), gate_gradient = gate.defined() ? make::empty_like(gate) : at::Tensor();
    // Sums over rows are kept per block and added in order: the result does not depend on the threads.
    int64_t blocks = std::min<int64_t>(rows.count(), 64), width = rows.heads * rows.size;
    auto partial = [&](const at::Tensor &parameter) {
      return parameter.defined() ? make::zeros({blocks, width}, parameter.options()) : at::Tensor();
    };
    auto weight_parts = partial(weight), bias_parts = partial(bias);
    int64_t epsilon_count = epsilons.numel();
    with_element(x.scalar_type(), [&]<class T>() {
      using A = typename Accumulator<T>::type;
      const T *in = data<T>(x), *g = data<T>(gate), *d = data<T>(gradient);
      const A *w = data<A>(weight), *c = data<A>(bias), *e = data<A>(epsilons);
      T *dx = mutable_data<T>(x_gradient), *dg = mutable_data<T>(gate_gradient);
      A *dw = mutable_data<A>(weight_parts), *dc = mutable_data<A>(bias_parts);
      parallel_for(blocks, 1, [&](int64_t begin, int64_t end) {
        std::vector<A> scratch(rows.size);
        for (int64_t block = begin; block < end; block++) {
          int64_t last = rows.count() * (block + 1) / blocks;
          for (int64_t row = rows.count() * block / blocks; row < last; row++) {
            int64_t other = rows.transposed(row) * rows.size, head = rows.head(row) * rows.size;
            row_kernels<T>().norm_backward(in + row * rows.size, g ? g + other : nullptr, w ? w + head : nullptr,
                                           c ? c + head : nullptr, e[row % epsilon_count], kind, activation,
                                           d + other, dx + row * rows.size, dg ? dg + other : nullptr,
                                           dw ? dw + block * width + head : nullptr,
                                           dc ? dc + block * width + head : nullptr, scratch.data(), rows.size);
          }
        }
      });
    });
    auto total = [](const at::Tensor &parts) { return parts.defined() ? parts.sum(0) : at::Tensor(); };
    return {x_gradient, gate_gradient, {}, total(weight_parts), total(bias_parts)};
  };
  return record({x, gate, epsilons, weight, bias}, forward, backward)[0];
}

at::Tensor gated_activation(const at::Tensor &a, const at::Tensor &b, ct_activation activation) {
  auto forward = [&]() -> Pass {
    auto out = make::empty_like(a);
    with_element(a.scalar_type(), [&]<class T>() {
      const T *x = data<T>(a), *y = data<T>(b);
      T *z = mutable_data<T>(out);
      parallel_for(a.numel(), kBlock, [&](int64_t begin, int64_t end) {
        row_kernels<T>().gated_forward(x + begin, y ? y + begin : nullptr, activation, z + begin, end - begin);
      });
    });
    return {{out}, {a, b}};
  };
  auto backward = [activation](const variable_list &saved, variable_list &gradients) -> variable_list {
    const auto &a = saved[0], &b = saved[1];
    auto gradient = gradients[0].contiguous();
    auto a_gradient = make::empty_like(a), b_gradient = b.defined() ? make::empty_like(b) : at::Tensor();
    with_element(a.scalar_type(), [&]<class T>() {
      const T *x = data<T>(a), *y = data<T>(b), *d = data<T>(gradient);
      T *dx = mutable_data<T>(a_gradient), *dy = mutable_data<T>(b_gradient);
      parallel_for(a.numel(), kBlock, [&](int64_t begin, int64_t end) {
        row_kernels<T>().gated_backward(x + begin, y ? y + begin : nullptr, activation, d + begin, dx + begin,
                                        dy ? dy + begin : nullptr, end - begin);
      });
    });
    return {a_gradient, b_gradient};
  };
  return record({a, b}, forward, backward)[0];
}

variable_list residual_norm(const at::Tensor &x, const at::Tensor &branch, const at::Tensor &weight,
                            const at::Tensor &bias, double epsilon, at::ScalarType type) {
  bool has_branch = branch.defined(), has_bias = bias.defined();
  auto forward = [&]() -> Pass {
    int64_t size = x.size(-1), rows = x.numel() / size;
    auto sum = has_branch ? make::empty_like(x) : x;
    auto out = make::empty(x.sizes(), x.options().dtype(type));
    with_stream(out.scalar_type(), x.scalar_type(), [&]<class T, class S>() {
      using A = typename Accumulator<T>::type;
      const S *in = data<S>(x);
      const T *b = data<T>(branch);
      S *s = has_branch ? mutable_data<S>(sum) : nullptr;
      const A *w = data<A>(weight), *c = data<A>(bias);
      T *y = mutable_data<T>(out);
      parallel_for(rows, row_grain(size), [&](int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; r++)
          stream_rows<T, S>().residual_norm(in + r * size, b ? b + r * size : nullptr, w, c, A(epsilon),
                                            s ? s + r * size : nullptr, y + r * size, size);
      });
    });
    return {has_branch ? variable_list{out, sum} : variable_list{out}, {sum, weight}};
  };
  auto backward = [=](const variable_list &saved, variable_list &gradients) -> variable_list {
    const auto &sum = saved[0], &weight = saved[1];
    at::Tensor none;
    auto d_sum = has_branch && gradients[1].defined() ? gradients[1].contiguous() : none;
    if (!gradients[0].defined())
      return {d_sum, has_branch && d_sum.defined() ? d_sum.to(type) : none, none, none};
    auto d_out = gradients[0].contiguous();
    int64_t size = sum.size(-1), rows = sum.numel() / size;
    auto dx = make::empty_like(sum), d_branch = has_branch ? make::empty_like(d_out) : none;
    // Sums over rows are kept per block and added in order: the result does not depend on the threads.
    int64_t blocks = std::min<int64_t>(rows, 64);
    auto weight_parts = make::zeros({blocks, size}, weight.options());
    auto bias_parts = has_bias ? make::zeros({blocks, size}, weight.options()) : none;
    with_stream(type, sum.scalar_type(), [&]<class T, class S>() {
      using A = typename Accumulator<T>::type;
      const S *s = data<S>(sum), *ds = data<S>(d_sum);
      const T *dy = data<T>(d_out);
      const A *w = data<A>(weight);
      A *dw = mutable_data<A>(weight_parts), *dc = mutable_data<A>(bias_parts);
      S *to = mutable_data<S>(dx);
      T *db = mutable_data<T>(d_branch);
      parallel_for(blocks, 1, [&](int64_t begin, int64_t end) {
        for (int64_t block = begin; block < end; block++)
          for (int64_t r = rows * block / blocks; r < rows * (block + 1) / blocks; r++)
            stream_rows<T, S>().residual_norm_backward(
                s + r * size, w, A(epsilon), dy + r * size, ds ? ds + r * size : nullptr, to + r * size,
                db ? db + r * size : nullptr, dw + block * size, dc ? dc + block * size : nullptr, size);
      });
    });
    return {dx, d_branch, weight_parts.sum(0), has_bias ? bias_parts.sum(0) : none};
  };
  return record({x, branch, weight, bias}, forward, backward, MissingGradients::undefined);
}

at::Tensor residual_add(const at::Tensor &x, const at::Tensor &branch) {
  auto forward = [&]() -> Pass {
    auto sum = make::empty_like(x);
    with_stream(branch.scalar_type(), x.scalar_type(), [&]<class T, class S>() {
      const S *in = data<S>(x);
      const T *b = data<T>(branch);
      S *s = mutable_data<S>(sum);
      parallel_for(x.numel(), 16384, [&](int64_t begin, int64_t end) {
        stream_rows<T, S>().residual_add(in + begin, b + begin, s + begin, end - begin);
      });
    });
    return {{sum}, {}};
  };
  auto backward = [type = branch.scalar_type()](const variable_list &, variable_list &gradients) -> variable_list {
    return {gradients[0], gradients[0].to(type)};
  };
  return record({x, branch}, forward, backward)[0];
}

// Conversion first, then the scale, each with a rounding of its own.
at::Tensor embedding(const at::Tensor &weight, const at::Tensor &indices, double scale, at::ScalarType type) {
  auto forward = [&]() -> Pass {
    int64_t count = indices.numel(), size = weight.size(1);
    auto out = make::empty({count, size}, weight.options().dtype(type));
    const int64_t *rows = indices.const_data_ptr<int64_t>();
    bool is_wide = weight.scalar_type() != type;
    with_element(type, [&]<class T>() {
      using A = typename Accumulator<T>::type;
      T *to = mutable_data<T>(out);
      parallel_for(count, row_grain(size), [&](int64_t begin, int64_t end) {
        const auto &kernels = row_kernels<T>();
        for (int64_t n = begin; n < end; n++) {
          T *target = to + n * size;
          if (!is_wide) {
            kernels.scale(data<T>(weight) + rows[n] * size, A(scale), target, size);
            continue;
          }
          kernels.store(data<A>(weight) + rows[n] * size, A(1), target, size);
          if (scale != 1)
            kernels.scale(target, A(scale), target, size);
        }
      });
    });
    return {{out}, {indices}};
  };
  auto backward = [scale, table = weight.sizes().vec(), stored = weight.scalar_type(),
                   type](const variable_list &saved, variable_list &gradients) -> variable_list {
    const auto &indices = saved[0];
    auto d = gradients[0].to(type).contiguous();
    auto sum = make::zeros(table, d.options().dtype(accumulator_type(type)));
    const int64_t *rows = indices.const_data_ptr<int64_t>();
    int64_t count = indices.numel(), size = table[1];
    with_element(type, [&]<class T>() {
      using A = typename Accumulator<T>::type;
      const T *from = data<T>(d);
      A *to = mutable_data<A>(sum);
      // Threads take columns, so that rows are added in their order whatever their number.
      parallel_for(size, std::max<int64_t>(16, size / 8), [&](int64_t begin, int64_t end) {
        for (int64_t n = 0; n < count; n++)
          row_kernels<T>().accumulate(to + rows[n] * size + begin, A(1), from + n * size + begin, end - begin);
      });
    });
    return {sum.mul_(scale).to(stored), {}};
  };
  return record({weight, indices}, forward, backward)[0];
}

variable_list token_loss(const at::Tensor &logits, const at::Tensor &targets) {
  auto forward = [&]() -> Pass {
    int64_t rows = logits.size(0), size = logits.size(1);
    auto losses = make::zeros({rows}, logits.options().dtype(accumulator_type(logits.scalar_type())));
    auto log_sums = make::empty_like(losses);
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
    return {{losses, log_sums}, {logits, targets, log_sums}};
  };
  auto backward = [](const variable_list &saved, variable_list &gradients) -> variable_list {
    const auto &logits = saved[0], &targets = saved[1], &log_sums = saved[2];
    int64_t rows = logits.size(0), size = logits.size(1);
    auto d_loss = gradients[0].contiguous(), d_z = gradients[1].contiguous();
    auto out = make::empty_like(logits);
    const int64_t *labels = targets.const_data_ptr<int64_t>();
    with_element(logits.scalar_type(), [&]<class T>() {
      using A = typename Accumulator<T>::type;
      const T *l = data<T>(logits);
      const A *z = data<A>(log_sums), *dl = data<A>(d_loss), *dz = data<A>(d_z);
      T *g = mutable_data<T>(out);
      parallel_for(rows, row_grain(size), [&](int64_t begin, int64_t end) {
        for (int64_t n = begin; n < end; n++) {
          bool counts = labels[n] != kIgnored;
          A factor = (counts ? dl[n] : A(0)) + dz[n];
          T *row = g + n * size;
          score_rows<T>().log_sum_backward(l + n * size, z[n], factor, row, size);
          // Not by the rounded probability of the target, which may be 1 in 16 bits.
          if (counts) {
            A value = factor * std::exp(widened(l[n * size + labels[n]]) - z[n]) - dl[n];
            row_kernels<T>().store(&value, A(1), row + labels[n], 1);
          }
        }
      });
    });
    return {out, {}};
  };
  return record({logits, targets}, forward, backward);
}

} // namespace ctorch::cpu
