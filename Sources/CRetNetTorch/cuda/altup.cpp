// Mixing of AltUp's streams on CUDA devices: sums of streams with a matrix of weights (ops/altup.cpp), W = p - g p[a, :] and
// the last column g.
#include "operators.h"

namespace ctorch::cuda {
namespace {

// The weights [rows, inputs], on the device.
at::Tensor weights_of(const at::Tensor &p, const at::Tensor &g, const std::vector<double> &constants, int64_t columns,
                      int64_t active, StreamWeights kind, const at::Tensor &like) {
  auto wide = like.options().dtype(at::kFloat);
  if (kind == StreamWeights::constant)
    return make::vector(constants).to(wide).reshape({-1, columns});
  auto prediction = p.detach().to(wide);
  auto row = prediction.narrow(0, active, 1); // [1, K]
  if (kind == StreamWeights::predict)
    return row.contiguous();
  auto correction = g.detach().to(wide).unsqueeze(1); // [K, 1]
  return make::joined({prediction - correction * row, correction}, 1).contiguous();
}

// Gradients of p and g by those of the weights [rows, inputs].
std::pair<at::Tensor, at::Tensor> parameter_gradients(const at::Tensor &dw, const at::Tensor &p, const at::Tensor &g,
                                                      int64_t active, StreamWeights kind) {
  if (kind == StreamWeights::constant)
    return {};
  auto dp = make::zeros(p.sizes(), dw.options());
  if (kind == StreamWeights::predict) {
    dp.narrow(0, active, 1).copy_(dw);
    return {dp.to(p.scalar_type()), at::Tensor()};
  }
  int64_t count = p.size(0);
  auto by_mix = dw.narrow(1, 0, count), row = p.to(dw.options()).narrow(0, active, 1);
  dp.copy_(by_mix);
  dp.narrow(0, active, 1).sub_((g.to(dw.options()).unsqueeze(1) * by_mix).sum(0, true));
  auto dg = dw.select(1, count) - (by_mix * row).sum(1);
  return {dp.to(p.scalar_type()), dg.to(g.scalar_type())};
}

// Null streams where sizes do not fit.
device::CombineArguments arguments_of(const variable_list &in, const variable_list &out, const at::Tensor &weights) {
  device::CombineArguments a{};
  a.inputs = static_cast<int32_t>(in.size()), a.outputs = static_cast<int32_t>(out.size()), a.count = in[0].numel();
  for (size_t i = 0; i < in.size(); i++)
    a.in[i] = in[i].const_data_ptr();
  for (size_t i = 0; i < out.size(); i++)
    a.out[i] = out[i].data_ptr();
  a.weights = numbers(weights);
  return a;
}

void combine_streams(const variable_list &in, const variable_list &out, const at::Tensor &weights) {
  Place place(in[0]);
  auto a = arguments_of(in, out, weights);
  device::Kernel kernel;
  TORCH_CHECK(device::combine_kernel(a, element_of(in[0].scalar_type()), place.limits(), kernel),
              "there is no kernel for sums of ", in.size(), " streams");
  place.run(kernel, a);
}

// Gradients of the weights [rows, inputs].
at::Tensor weight_gradients(const variable_list &in, const variable_list &d_out) {
  Place place(in[0]);
  auto a = arguments_of(in, d_out, at::Tensor());
  a.parts = device::combine_parts(a, place.limits());
  auto parts = make::empty({a.parts, a.outputs, a.inputs}, in[0].options().dtype(at::kFloat));
  a.gradients = places(parts);
  device::Kernel kernel;
  TORCH_CHECK(device::combine_gradient_kernel(a, element_of(in[0].scalar_type()), place.limits(), kernel),
              "there is no kernel for the gradients of sums of ", in.size(), " streams");
  place.run(kernel, a);
  return parts.sum(0);
}

} // namespace

variable_list combine(const variable_list &inputs, const at::Tensor &p, const at::Tensor &g,
                      const std::vector<double> &constants, int64_t active, StreamWeights kind) {
  auto columns = static_cast<int64_t>(inputs.size());
  int64_t rows = kind == StreamWeights::constant  ? static_cast<int64_t>(constants.size()) / columns
                 : kind == StreamWeights::predict ? 1
                                                  : p.size(0);
  if (columns > device::kMaximumStreams || rows > device::kMaximumStreams || inputs[0].numel() == 0)
    return {};
  auto forward = [&]() -> Pass {
    variable_list in, out;
    for (const auto &x : inputs)
      in.push_back(x.contiguous());
    for (int64_t r = 0; r < rows; r++)
      out.push_back(make::empty_like(in[0]));
    auto weights = weights_of(p, g, constants, columns, active, kind, in[0]);
    combine_streams(in, out, weights);
    auto saved = in;
    saved.insert(saved.end(), {weights, p, g});
    return {out, saved};
  };
  auto backward = [active, kind](const variable_list &all, variable_list &gradients) -> variable_list {
    variable_list in(all.begin(), all.end() - 3);
    const auto &weights = all[all.size() - 3], &p = all[all.size() - 2], &g = all.back();
    variable_list d_out, result;
    for (const auto &d : gradients)
      d_out.push_back(d.contiguous());
    for (const auto &x : in)
      result.push_back(make::empty_like(x));
    combine_streams(d_out, result, weights.t().contiguous());
    at::Tensor dp, dg;
    if (kind != StreamWeights::constant)
      std::tie(dp, dg) = parameter_gradients(weight_gradients(in, d_out), p, g, active, kind);
    result.insert(result.end(), {dp, dg});
    return result;
  };
  auto all = inputs;
  all.insert(all.end(), {p, g});
  return record(all, forward, backward);
}

} // namespace ctorch::cuda
