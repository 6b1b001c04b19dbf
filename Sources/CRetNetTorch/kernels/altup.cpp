// Mixing of the K blocks of AltUp (arXiv 2301.13310) in one pass over memory each way.
//
//   x_new^i = sum_j p_ij x^j + g_i (y - sum_j p_aj x^j) = sum_j W_ij x^j + g_i y,    W = p - g p[a, :]
//
// a is the active block and y its layer's output. The folded form also makes identities exact: with p = I and
// g = 1 the active block becomes y bit for bit, and blocks that were equal stay equal.
#include "operators.h"

namespace ctorch {
namespace {

constexpr int64_t kBlock = 8192;

enum Mode : int64_t { kMix, kPredict, kConstant };

std::vector<double> numbers(const at::Tensor &t) {
  auto wide = t.detach().to(at::kCPU, at::kDouble).contiguous();
  return {wide.const_data_ptr<double>(), wide.const_data_ptr<double>() + wide.numel()};
}

// The weights [rows, columns] of a combination of the inputs.
struct Weights {
  int64_t rows, columns;
  std::vector<double> values;
};

Weights make_weights(const OptionalTensor &p, const OptionalTensor &g, const std::vector<double> &constants,
                     int64_t columns, int64_t active, int64_t mode) {
  if (mode == kConstant)
    return {static_cast<int64_t>(constants.size()) / columns, columns, constants};
  auto prediction = numbers(*p);
  int64_t count = p->size(0);
  if (mode == kPredict)
    return {1, count, {prediction.begin() + active * count, prediction.begin() + (active + 1) * count}};
  auto correction = numbers(*g);
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

struct Combine : torch::autograd::Function<Combine> {
  static variable_list forward(AutogradContext *context, at::TensorList inputs, const OptionalTensor &p,
                               const OptionalTensor &g, std::vector<double> constants, int64_t active, int64_t mode) {
    variable_list in;
    for (const auto &x : inputs)
      in.push_back(x.contiguous());
    auto w = make_weights(p, g, constants, static_cast<int64_t>(in.size()), active, mode);
    auto saved = in;
    saved.push_back(p.value_or(at::Tensor()));
    saved.push_back(g.value_or(at::Tensor()));
    context->save_for_backward(saved);
    context->saved_data["weights"] = w.values;
    context->saved_data["active"] = active;
    context->saved_data["mode"] = mode;
    variable_list out;
    for (int64_t r = 0; r < w.rows; r++)
      out.push_back(at::empty_like(in[0]));
    with_element(in[0].scalar_type(), [&]<class T>() {
      using A = typename Accumulator<T>::type;
      std::vector<A> weights(w.values.begin(), w.values.end());
      auto x = pointers<T>(in);
      auto y = mutable_pointers<T>(out);
      parallel_for(in[0].numel(), kBlock, [&](int64_t begin, int64_t end) {
        stream_kernels<T>().combine(moved(x, begin).data(), weights.data(), moved(y, begin).data(), w.rows,
                                    w.columns, end - begin);
      });
    });
    return out;
  }

  static variable_list backward(AutogradContext *context, variable_list gradients) {
    auto saved = context->get_saved_variables();
    auto g = saved.back();
    saved.pop_back();
    auto p = saved.back();
    saved.pop_back();
    auto w = context->saved_data["weights"].toDoubleVector();
    int64_t mode = context->saved_data["mode"].toInt(), active = context->saved_data["active"].toInt();
    int64_t columns = static_cast<int64_t>(saved.size()), rows = static_cast<int64_t>(gradients.size());
    for (auto &d : gradients)
      d = d.contiguous();
    variable_list result;
    for (const auto &x : saved)
      result.push_back(at::empty_like(x));
    // Sums are kept per part and added in order: the result does not depend on the threads.
    int64_t count = saved[0].numel(), parts = std::clamp<int64_t>(count / kBlock, 1, 64);
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
    auto [dp, dg] = parameter_gradients(total, p, g, rows, columns, active, mode);
    result.insert(result.end(), {dp, dg, at::Tensor(), at::Tensor(), at::Tensor()});
    return result;
  }

  // From W = p - g p[a, :] and the last column g.
  static std::pair<at::Tensor, at::Tensor> parameter_gradients(const std::vector<double> &w, const at::Tensor &p,
                                                               const at::Tensor &g, int64_t rows, int64_t columns,
                                                               int64_t active, int64_t mode) {
    if (mode == kConstant)
      return {};
    auto tensor = [](const std::vector<double> &values, const at::Tensor &like) {
      return at::tensor(values, at::kDouble).reshape(like.sizes()).to(like.options());
    };
    int64_t count = p.size(0);
    std::vector<double> dp(count * count), dg(count);
    if (mode == kPredict) {
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
};

// The same as a chain of ATen operations, for other devices.
variable_list combine_aten(const variable_list &in, const at::Tensor &weights) {
  auto type = accumulator_type(in[0].scalar_type());
  auto w = weights.to(in[0].device(), type);
  variable_list out;
  for (int64_t r = 0; r < w.size(0); r++) {
    auto sum = in[0].to(type) * w[r][0];
    for (size_t j = 1; j < in.size(); j++)
      sum = sum + in[j].to(type) * w[r][static_cast<int64_t>(j)];
    out.push_back(sum.to(in[0].scalar_type()));
  }
  return out;
}

variable_list checked(const ct_tensor *tensors, int32_t count) {
  auto in = list(tensors, count);
  TORCH_CHECK_VALUE(!in.empty(), "no blocks to combine");
  for (const auto &x : in)
    TORCH_CHECK_VALUE(x.sizes() == in[0].sizes() && x.scalar_type() == in[0].scalar_type(),
                      "blocks must have one shape and type, found ", in[0].sizes(), " ", in[0].scalar_type(), " and ",
                      x.sizes(), " ", x.scalar_type());
  return in;
}

void write(ct_tensor *outs, const variable_list &results) {
  for (size_t i = 0; i < results.size(); i++)
    outs[i] = box(results[i]);
}

} // namespace
} // namespace ctorch

using namespace ctorch;

ct_status ct_altup_mix(ct_tensor *outs, const ct_tensor *blocks, int32_t count, ct_tensor output,
                       ct_tensor prediction, ct_tensor correction, int32_t active) {
  return guarded([&] {
    auto in = checked(blocks, count);
    const auto &y = output->value, &p = prediction->value, &g = correction->value;
    TORCH_CHECK_VALUE(y.sizes() == in[0].sizes() && y.scalar_type() == in[0].scalar_type(), "the layer's output ",
                      y.sizes(), " ", y.scalar_type(), " must have the shape and type of the blocks ", in[0].sizes(),
                      " ", in[0].scalar_type());
    TORCH_CHECK_VALUE(p.dim() == 2 && p.size(0) == count && p.size(1) == count && g.dim() == 1 && g.size(0) == count,
                      "mixing ", count, " blocks needs p [K, K] and g [K], found ", p.sizes(), " and ", g.sizes());
    TORCH_CHECK_VALUE(active >= 0 && active < count, "there is no block ", active, " among ", count);
    in.push_back(y);
    if (has_row_kernels(in[0])) {
      write(outs, Combine::apply(at::TensorList(in), OptionalTensor(p), OptionalTensor(g), std::vector<double>(), active, kMix));
      return;
    }
    auto folded = p - g.unsqueeze(1) * p[active].unsqueeze(0);
    write(outs, combine_aten(in, at::cat({folded, g.unsqueeze(1)}, 1)));
  });
}

ct_status ct_altup_predict(ct_tensor *out, const ct_tensor *blocks, int32_t count, ct_tensor prediction,
                           int32_t active) {
  return guarded([&] {
    auto in = checked(blocks, count);
    const auto &p = prediction->value;
    TORCH_CHECK_VALUE(p.dim() == 2 && p.size(0) == count && p.size(1) == count, "predicting ", count,
                      " blocks needs p [K, K], found ", p.sizes());
    TORCH_CHECK_VALUE(active >= 0 && active < count, "there is no block ", active, " among ", count);
    if (has_row_kernels(in[0]))
      write(out, Combine::apply(at::TensorList(in), OptionalTensor(p), OptionalTensor(), std::vector<double>(), active, kPredict));
    else
      write(out, combine_aten(in, p[active].unsqueeze(0)));
  });
}

ct_status ct_combine(ct_tensor *outs, int32_t out_count, const ct_tensor *ins, int32_t in_count,
                     const double *weights) {
  return guarded([&] {
    auto in = checked(ins, in_count);
    TORCH_CHECK_VALUE(out_count >= 1, "a combination needs an output");
    std::vector<double> w(weights, weights + int64_t(out_count) * in_count);
    if (has_row_kernels(in[0]))
      write(outs, Combine::apply(at::TensorList(in), OptionalTensor(), OptionalTensor(), w, 0, kConstant));
    else
      write(outs, combine_aten(in, at::tensor(w, at::kDouble).reshape({out_count, in_count})));
  });
}
