// Mixing of AltUp's streams for processors, in one pass over memory each way.
//
//   x_new^i = sum_j p_ij x^j + g_i (y - sum_j p_aj x^j) = sum_j W_ij x^j + g_i y,    W = p - g p[a, :]
//
// a is the active block and y its layer's output (ops/altup.cpp). The folded form also makes identities exact: with p
// = I and g = 1 the active block becomes y bit for bit, and blocks that were equal stay equal.
#include "operators.h"

namespace ctorch::cpu {
namespace {

constexpr int64_t kMixBlock = 8192;

std::vector<double> numbers(const at::Tensor &t) {
  auto wide = t.detach().to(at::kCPU, at::kDouble).contiguous();
  return {wide.const_data_ptr<double>(), wide.const_data_ptr<double>() + wide.numel()};
}

// The weights [rows, columns] of a combination of the inputs.
struct Weights {
  int64_t rows, columns;
  std::vector<double> values;
};

Weights make_weights(const at::Tensor &p, const at::Tensor &g, const std::vector<double> &constants, int64_t columns,
                     int64_t active, StreamWeights kind) {
  if (kind == StreamWeights::constant)
    return {static_cast<int64_t>(constants.size()) / columns, columns, constants};
  auto prediction = numbers(p);
  int64_t count = p.size(0);
  if (kind == StreamWeights::predict)
    return {1, count, {prediction.begin() + active * count, prediction.begin() + (active + 1) * count}};
  auto correction = numbers(g);
  std::vector<double> w(count * columns);
  for (int64_t i = 0; i < count; i++) {
    for (int64_t j = 0; j < count; j++)
      w[i * columns + j] = prediction[i * count + j] - correction[i] * prediction[active * count + j];
    w[i * columns + count] = correction[i];
  }
  return {count, columns, std::move(w)};
}

template <class T> std::vector<const T *> pointers(const variable_list &tensors) {
  std::vector<const T *> result;
  for (const auto &t : tensors)
    result.push_back(data<T>(t));
  return result;
}
template <class T> std::vector<T *> mutable_pointers(const variable_list &tensors) {
  std::vector<T *> result;
  for (const auto &t : tensors)
    result.push_back(mutable_data<T>(t));
  return result;
}

template <class P> std::vector<P> moved(const std::vector<P> &pointers, int64_t offset) {
  auto result = pointers;
  for (auto &p : result)
    p += offset;
  return result;
}

// From W = p - g p[a, :] and the last column g.
std::pair<at::Tensor, at::Tensor> parameter_gradients(const std::vector<double> &w, const at::Tensor &p,
                                                      const at::Tensor &g, int64_t rows, int64_t columns,
                                                      int64_t active, StreamWeights kind) {
  if (kind == StreamWeights::constant)
    return {};
  auto tensor = [](const std::vector<double> &values, const at::Tensor &like) {
    return make::vector(values).reshape(like.sizes()).to(like.options());
  };
  int64_t count = p.size(0);
  std::vector<double> dp(count * count), dg(count);
  if (kind == StreamWeights::predict) {
    std::copy(w.begin(), w.end(), dp.begin() + active * count);
    return {tensor(dp, p), at::Tensor()};
  }
  auto prediction = numbers(p), correction = numbers(g);
  for (int64_t i = 0; i < count; i++) {
    dg[i] = w[i * columns + count];
    for (int64_t j = 0; j < count; j++) {
      dp[i * count + j] += w[i * columns + j];
      dp[active * count + j] -= correction[i] * w[i * columns + j];
      dg[i] -= prediction[active * count + j] * w[i * columns + j];
    }
  }
  return {tensor(dp, p), tensor(dg, g)};
}

} // namespace

variable_list combine(const variable_list &inputs, const at::Tensor &p, const at::Tensor &g,
                      const std::vector<double> &constants, int64_t active, StreamWeights kind) {
  auto w = make_weights(p, g, constants, static_cast<int64_t>(inputs.size()), active, kind);
  auto forward = [&]() -> Pass {
    variable_list in;
    for (const auto &x : inputs)
      in.push_back(x.contiguous());
    variable_list out;
    for (int64_t r = 0; r < w.rows; r++)
      out.push_back(make::empty_like(in[0]));
    with_element(in[0].scalar_type(), [&]<class T>() {
      using A = typename Accumulator<T>::type;
      std::vector<A> weights(w.values.begin(), w.values.end());
      auto x = pointers<T>(in);
      auto y = mutable_pointers<T>(out);
      parallel_for(in[0].numel(), kMixBlock, [&](int64_t begin, int64_t end) {
        stream_kernels<T>().combine(moved(x, begin).data(), weights.data(), moved(y, begin).data(), w.rows, w.columns,
                                    end - begin);
      });
    });
    auto saved = in;
    saved.insert(saved.end(), {p, g});
    return {out, saved};
  };
  auto backward = [active, kind, w = w.values](const variable_list &all, variable_list &gradients) -> variable_list {
    variable_list saved(all.begin(), all.end() - 2);
    const auto &p = all[all.size() - 2], &g = all.back();
    int64_t columns = static_cast<int64_t>(saved.size()), rows = static_cast<int64_t>(gradients.size());
    for (auto &d : gradients)
      d = d.contiguous();
    variable_list result;
    for (const auto &x : saved)
      result.push_back(make::empty_like(x));
    // Sums are kept per part and added in order: the result does not depend on the threads.
    int64_t count = saved[0].numel(), parts = std::clamp<int64_t>(count / kMixBlock, 1, 64);
    std::vector<double> sums(parts * rows * columns);
    with_element(saved[0].scalar_type(), [&]<class T>() {
      using A = typename Accumulator<T>::type;
      std::vector<A> weights(w.begin(), w.end());
      auto x = pointers<T>(saved), d = pointers<T>(gradients);
      auto dx = mutable_pointers<T>(result);
      parallel_for(parts, 1, [&](int64_t first, int64_t last) {
        for (int64_t part = first; part < last; part++) {
          int64_t begin = count * part / parts, end = count * (part + 1) / parts;
          stream_kernels<T>().combine_backward(moved(x, begin).data(), weights.data(), moved(d, begin).data(),
                                               moved(dx, begin).data(), sums.data() + part * rows * columns, rows,
                                               columns, end - begin);
        }
      });
    });
    std::vector<double> total(rows * columns);
    for (int64_t part = 0; part < parts; part++)
      for (int64_t i = 0; i < rows * columns; i++)
        total[i] += sums[part * rows * columns + i];
    auto [dp, dg] = parameter_gradients(total, p, g, rows, columns, active, kind);
    result.insert(result.end(), {dp, dg});
    return result;
  };
  auto all = inputs;
  all.insert(all.end(), {p, g});
  return record(all, forward, backward);
}

// The terms of the formula in ops/altup.cpp, group by group.
variable_list sequence_altup(const at::Tensor &x, const at::Tensor &y, const at::Tensor &anchor,
                             const at::Tensor &innovation, const at::Tensor &coefficients, int64_t first,
                             int64_t stride) {
  auto forward = [&]() -> Pass {
    TokenGroups groups{x.size(0), x.size(1), x.size(2), first, stride};
    auto out = make::empty_like(x);
    auto wide = x.options().dtype(coefficients.scalar_type());
    auto last_anchor = make::empty({groups.batch, groups.size}, wide),
         last_innovation = make::empty_like(last_anchor);
    with_element(x.scalar_type(), [&]<class T>() {
      using A = typename Accumulator<T>::type;
      const auto &kernels = stream_kernels<T>();
      const T *in = data<T>(x), *layer = data<T>(y);
      const A *c = data<A>(coefficients), *old_anchor = data<A>(anchor);
      const A *old_innovation = data<A>(innovation);
      T *to = mutable_data<T>(out);
      A *final_anchor = mutable_data<A>(last_anchor), *final_innovation = mutable_data<A>(last_innovation);
      int64_t d = groups.size, count = groups.count();
      parallel_for(
          groups.batch * count, std::max<int64_t>(1, row_grain(d) / stride), [&](int64_t from, int64_t until) {
            std::vector<A> base(3 * d);
            A *anchor_row = base.data() + d, *innovation_row = anchor_row + d;
            for (int64_t index = from; index < until; index++) {
              int64_t b = index / count, group = index % count, a = groups.anchor(group);
              if (a < 0) {
                kernels.carried_base(old_anchor + b * d, old_innovation + b * d, c, base.data(), d);
                std::copy(old_anchor + b * d, old_anchor + (b + 1) * d, anchor_row);
                std::copy(old_innovation + b * d, old_innovation + (b + 1) * d, innovation_row);
              } else {
                kernels.group_base(in + (b * groups.time + groups.begin(a)) * d,
                                   layer + (b * groups.anchors() + a) * d, c, anchor_row, innovation_row, base.data(),
                                   d);
              }
              for (int64_t t = groups.begin(a); t < groups.end(a); t++)
                kernels.group_row(in + (b * groups.time + t) * d, c, base.data(), to + (b * groups.time + t) * d, d);
              if (group == count - 1) {
                std::copy(anchor_row, anchor_row + d, final_anchor + b * d);
                std::copy(innovation_row, innovation_row + d, final_innovation + b * d);
              }
            }
          });
    });
    return {{out, last_anchor, last_innovation}, {x, y, anchor, innovation, coefficients}};
  };
  auto backward = [first, stride](const variable_list &saved, variable_list &gradients) -> variable_list {
    const auto &x = saved[0], &y = saved[1], &anchor = saved[2], &innovation = saved[3], &coefficients = saved[4];
    TokenGroups groups{x.size(0), x.size(1), x.size(2), first, stride};
    for (auto &g : gradients)
      if (g.defined())
        g = g.contiguous();
    auto like = [](const at::Tensor &t) { return t.defined() ? make::empty_like(t) : at::Tensor(); };
    auto dx = make::empty_like(x), dy = like(y), d_anchor = like(anchor), d_innovation = like(innovation);
    if (d_anchor.defined() && !groups.carried()) {
      d_anchor.zero_();
      d_innovation.zero_();
    }
    int64_t count = groups.count(), total_count = groups.batch * count;
    int64_t parts = std::clamp<int64_t>(total_count, 1, 64);
    std::vector<double> sums(parts * 3);
    with_element(x.scalar_type(), [&]<class T>() {
      using A = typename Accumulator<T>::type;
      const auto &kernels = stream_kernels<T>();
      const T *in = data<T>(x), *layer = data<T>(y), *g = data<T>(gradients[0]);
      const A *c = data<A>(coefficients), *old_anchor = data<A>(anchor), *old_innovation = data<A>(innovation);
      const A *final_anchor = data<A>(gradients[1]), *final_innovation = data<A>(gradients[2]);
      T *x_to = mutable_data<T>(dx), *y_to = mutable_data<T>(dy);
      A *anchor_to = mutable_data<A>(d_anchor), *innovation_to = mutable_data<A>(d_innovation);
      int64_t d = groups.size;
      // Rows that nothing comes to from outside: tests for null within the kernels' loops would be slow.
      const std::vector<A> nothing(d);
      auto outside = [&](const A *p, int64_t b, bool is_last) { return is_last && p ? p + b * d : nothing.data(); };
      parallel_for(parts, 1, [&](int64_t first_part, int64_t last_part) {
        std::vector<A> total(d);
        for (int64_t part = first_part; part < last_part; part++) {
          double *sum = sums.data() + part * 3;
          for (int64_t index = total_count * part / parts; index < total_count * (part + 1) / parts; index++) {
            int64_t b = index / count, group = index % count, a = groups.anchor(group);
            std::fill(total.begin(), total.end(), A(0));
            for (int64_t t = groups.begin(a); t < groups.end(a); t++) {
              int64_t row = (b * groups.time + t) * d;
              sum[0] += kernels.group_row_backward(in + row, g + row, c, total.data(), x_to + row, d);
            }
            bool is_last = group == count - 1;
            const A *from_anchor = outside(final_anchor, b, is_last);
            const A *from_innovation = outside(final_innovation, b, is_last);
            if (a < 0) {
              kernels.carried_backward(old_anchor + b * d, old_innovation + b * d, total.data(), from_anchor,
                                       from_innovation, c, anchor_to + b * d, innovation_to + b * d, sum, d);
            } else {
              int64_t row = (b * groups.time + groups.begin(a)) * d, layer_row = (b * groups.anchors() + a) * d;
              kernels.group_backward(in + row, layer + layer_row, g + row, total.data(), from_anchor, from_innovation,
                                     c, x_to + row, y_to + layer_row, sum, d);
            }
          }
        }
      });
    });
    std::vector<double> total(3);
    for (int64_t part = 0; part < parts; part++)
      for (int i = 0; i < 3; i++)
        total[i] += sums[part * 3 + i];
    return {dx, dy, d_anchor, d_innovation, make::vector(total).to(coefficients.options())};
  };
  return record({x, y, anchor, innovation, coefficients}, forward, backward);
}

} // namespace ctorch::cpu
