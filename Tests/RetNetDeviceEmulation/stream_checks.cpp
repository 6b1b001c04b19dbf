// Kernels over streams and what stands between products, against their formulas in float64.
#include "formulas.h"

namespace retnet::emulation {
namespace {

std::string check_combine(Element type, int inputs, int outputs, int count, bool aligned, Order order,
                          rde_outcome &outcome) {
  Comparison found(outcome);
  Numbers numbers(11);
  auto layout = aligned ? Layout::heads_first : Layout::unaligned;
  Values weights = rounded_to(Element::f32, numbers.take(size_t(inputs) * outputs));
  std::vector<Values> x, d;
  std::vector<Buffer> in, out, gradients;
  Buffer weight_buffer(weights);
  device::CombineArguments a = {}, g = {};
  a.inputs = g.inputs = inputs, a.outputs = g.outputs = outputs, a.count = g.count = count;
  for (int j = 0; j < inputs; j++) {
    x.push_back(rounded_to(type, numbers.take(size_t(count))));
    in.emplace_back(type, 1, 1, 1, count, layout, x.back());
  }
  for (int i = 0; i < outputs; i++) {
    d.push_back(rounded_to(type, numbers.take(size_t(count))));
    out.emplace_back(type, 1, 1, 1, count, layout);
    gradients.emplace_back(type, 1, 1, 1, count, layout, d.back());
  }
  for (int j = 0; j < inputs; j++)
    a.in[j] = g.in[j] = in[size_t(j)].data();
  for (int i = 0; i < outputs; i++)
    a.out[i] = out[size_t(i)].data(), g.out[i] = gradients[size_t(i)].data();
  a.weights = weight_buffer.floats();
  g.parts = 3;
  Buffer parts(int64_t(g.parts) * inputs * outputs);
  g.gradients = parts.floats();
  if (auto error = run(device::combine_kernel, a, type, order); !error.empty())
    return error;
  if (auto error = run(device::combine_gradient_kernel, g, type, order); !error.empty())
    return error;
  Values expected_weights, sums(size_t(inputs) * outputs, 0.0);
  for (int i = 0; i < outputs; i++) {
    Values expected(size_t(count), 0.0);
    for (int j = 0; j < inputs; j++) {
      double sum = 0;
      for (int e = 0; e < count; e++) {
        expected[size_t(e)] += weights[size_t(i * inputs + j)] * x[size_t(j)][size_t(e)];
        sum += d[size_t(i)][size_t(e)] * x[size_t(j)][size_t(e)];
      }
      expected_weights.push_back(sum);
    }
    found.add("a stream", out[size_t(i)], expected);
  }
  auto values = parts.values();
  for (size_t i = 0; i < values.size(); i++)
    sums[i % sums.size()] += values[i];
  found.add("the weights", Buffer(sums), expected_weights);
  if (!parts.is_intact())
    return "the gradients of weights were written outside of their elements";
  outcome.launches = 2;
  return found.error;
}

std::string check_residual_norm(const rde_residual_norm &c, rde_outcome &outcome) {
  Comparison found(outcome);
  auto type = static_cast<Element>(c.element), stream = c.wide_stream ? Element::f32 : type;
  Numbers numbers(12);
  int rows = c.rows, size = c.size;
  auto take = [&](Element t) { return rounded_to(t, numbers.take(size_t(rows) * size)); };
  auto rows_of = [&](Element t, const Values &values) { return Buffer(t, 1, 1, rows, size, Layout::heads_first, values); };
  Values x = take(stream), branch = take(type), d = take(type), d_sum = take(stream);
  Values weight = rounded_to(Element::f32, numbers.take(size_t(size))), sum = x;
  if (c.has_branch)
    for (size_t i = 0; i < sum.size(); i++)
      sum[i] = x[i] + branch[i];
  auto x_rows = rows_of(stream, x), branch_rows = rows_of(type, branch), d_rows = rows_of(type, d);
  auto d_sum_rows = rows_of(stream, d_sum);
  Buffer out(type, 1, 1, rows, size), sums(stream, 1, 1, rows, size), dx(stream, 1, 1, rows, size);
  Buffer d_branch(type, 1, 1, rows, size), weight_row(weight);
  device::ResidualNormArguments a = {};
  a.x = x_rows.data(), a.weight = weight_row.floats(), a.out = out.data(), a.d_out = d_rows.data(), a.dx = dx.data();
  a.sum = c.has_branch ? sums.data() : x_rows.data();
  if (c.has_branch)
    a.branch = branch_rows.data(), a.d_branch = d_branch.data(), a.d_sum = d_sum_rows.data();
  a.rows = rows, a.size = size, a.epsilon = 0.1f, a.parts = std::min(3, rows);
  Buffer d_weight(int64_t(a.parts) * size);
  a.d_weight = d_weight.floats();
  device::Kernel kernel;
  if (!device::residual_norm_kernel(a, type, stream, kLimits, kernel))
    return "there is no kernel for these sizes";
  if (auto error = launch(kernel, &a, c.order); !error.empty())
    return error;
  if (!device::residual_norm_gradient_kernel(a, type, stream, kLimits, kernel))
    return "there is no kernel for the gradients of these sizes";
  if (auto error = launch(kernel, &a, c.order); !error.empty())
    return error;

  // The norm reads the sum as the stream holds it.
  Values kept = rounded_to(stream, sum), expected, expected_dx(sum.size()), expected_weight(size_t(size), 0.0);
  for (int row = 0; row < rows; row++) {
    double *values = kept.data() + size_t(row) * size;
    auto value = [&] {
      return normed(values, size, device::kRmsNorm, double(0.1f), weight.data(), nullptr, nullptr, 0);
    };
    auto loss = [&] {
      auto y = value();
      double total = 0;
      for (int i = 0; i < size; i++)
        total += y[size_t(i)] * d[size_t(row) * size + i];
      return total;
    };
    auto y = value();
    expected.insert(expected.end(), y.begin(), y.end());
    for (int i = 0; i < size; i++) {
      size_t place = size_t(row) * size + i;
      expected_dx[place] = slope(kept[place], loss) + (c.has_branch ? d_sum[place] : 0);
      expected_weight[size_t(i)] += slope(weight[size_t(i)], loss);
    }
  }
  found.add("out", out, expected);
  found.add("dx", dx, expected_dx);
  if (c.has_branch) {
    found.add("sum", sums, sum);
    found.add("d_branch", d_branch, expected_dx);
  }
  Values parts = d_weight.values(), total(size_t(size), 0.0);
  for (size_t i = 0; i < parts.size(); i++)
    total[i % total.size()] += parts[i];
  found.add("d_weight", Buffer(total), expected_weight);
  outcome.launches = 2;
  return d_weight.is_intact() ? found.error : "the gradient of the weight was written outside of its elements";
}

std::string check_gated_activation(Element type, int count, int kind, bool has_gate, bool aligned, Order order,
                                   rde_outcome &outcome) {
  Comparison found(outcome);
  Numbers numbers(13);
  auto layout = aligned ? Layout::heads_first : Layout::unaligned;
  auto take = [&] { return rounded_to(type, numbers.take(size_t(count), 3)); };
  auto row = [&](const Values &values) { return Buffer(type, 1, 1, 1, count, layout, values); };
  Values a = take(), b = take(), d = take();
  auto left = row(a), right = row(b), gradient = row(d);
  Buffer out(type, 1, 1, 1, count, layout), da(type, 1, 1, 1, count, layout), db(type, 1, 1, 1, count, layout);
  device::GatedActivationArguments g = {};
  g.a = left.data(), g.out = out.data(), g.d_out = gradient.data(), g.da = da.data();
  if (has_gate)
    g.b = right.data(), g.db = db.data();
  g.count = count, g.activation = kind;
  if (auto error = run(device::gated_activation_kernel, g, type, order); !error.empty())
    return error;
  if (auto error = run(device::gated_activation_gradient_kernel, g, type, order); !error.empty())
    return error;
  Values expected, expected_da, expected_db;
  for (size_t i = 0; i < a.size(); i++) {
    double factor = has_gate ? b[i] : 1;
    expected.push_back(activation(a[i], kind) * factor);
    expected_da.push_back(d[i] * factor * slope(a[i], [&] { return activation(a[i], kind); }));
    expected_db.push_back(d[i] * activation(a[i], kind));
  }
  found.add("out", out, expected);
  found.add("da", da, expected_da);
  if (has_gate)
    found.add("db", db, expected_db);
  outcome.launches = 2;
  return found.error;
}

} // namespace
} // namespace retnet::emulation

using namespace retnet::emulation;

const char *rde_check_combine(rde_element element, int32_t inputs, int32_t outputs, int32_t count, bool aligned,
                              rde_order order, rde_outcome *outcome) {
  return kept(check_combine(static_cast<Element>(element), inputs, outputs, count, aligned, order, *outcome));
}

const char *rde_check_residual_norm(const rde_residual_norm *shape, rde_outcome *outcome) {
  return kept(check_residual_norm(*shape, *outcome));
}
const char *rde_check_gated_activation(rde_element element, int32_t count, int32_t activation, bool has_gate,
                                       bool aligned, rde_order order, rde_outcome *outcome) {
  auto type = static_cast<Element>(element);
  return kept(check_gated_activation(type, count, activation, has_gate, aligned, order, *outcome));
}
