// Kernels over rows and tokens against their formulas in float64. Gradients of norms are compared with central differences.
#include "formulas.h"

namespace retnet::emulation {
namespace {

// Cosines and sines of angles.
struct Angles {
  Values cosine, sine;
  Angles(Numbers &numbers, size_t count) {
    for (size_t i = 0; i < count; i++) {
      double angle = 3 * numbers.next();
      cosine.push_back(float(std::cos(angle))), sine.push_back(float(std::sin(angle)));
    }
  }
};

std::string check_decode(const rde_decode &c, rde_outcome &outcome) {
  Comparison found(outcome);
  auto type = static_cast<Element>(c.element);
  Numbers numbers(7);
  int rows = c.batch * c.heads, shared = c.batch * c.groups, keys = c.key_size, size = c.value_size;
  Values state = rounded_to(Element::f32, numbers.take(size_t(rows) * keys * size, 2));
  Values weight = rounded_to(Element::f32, numbers.take(size_t(c.heads) * size));
  Values bias = rounded_to(Element::f32, numbers.take(size_t(c.heads) * size));
  Values epsilons(size_t(c.epsilon_count)), gates;
  for (double &e : epsilons)
    e = float(0.5 + 0.4 * numbers.next());
  for (int n = 0; n < rows; n++)
    gates.push_back(float(std::log(0.95 + 0.05 * numbers.next())));
  Buffer state_buffer(state), weight_buffer(weight), bias_buffer(bias), epsilon_buffer(epsilons), gate_logs(gates);
  Buffer scratch(int64_t(rows) * size);
  std::vector<uint32_t> counters(size_t(rows), 0);
  for (int step = 0; step < 2; step++) {
    auto take = [&](int count, int width) { return rounded_to(type, numbers.take(size_t(count) * width)); };
    Values q = take(rows, keys), k = take(shared, keys), v = take(shared, size), gate = take(rows, size);
    Angles angles(numbers, size_t(c.shared_angles ? 1 : c.batch) * keys / 2);
    auto buffer = [&](int heads, int width, const Values &x) {
      return Buffer(type, c.batch, heads, 1, width, Layout::heads_first, x);
    };
    auto query = buffer(c.heads, keys, q), key = buffer(c.groups, keys, k), value = buffer(c.groups, size, v);
    auto gate_rows = buffer(c.heads, size, gate);
    Buffer out(type, c.batch, c.heads, 1, size), cosine(angles.cosine), sine(angles.sine);
    device::DecodeStepArguments a = {};
    int share = c.heads / c.groups;
    a.query = device::rows_of(query.view(), type), a.key = device::rows_of(key.view(), type, share);
    a.value = device::rows_of(value.view(), type, share);
    if (c.has_gate)
      a.gate = device::rows_of(gate_rows.view(), type);
    a.state = state_buffer.floats();
    if (c.rotation)
      a.cosine = cosine.floats(), a.sine = sine.floats(), a.angle_batch = c.shared_angles ? 0 : keys / 2;
    if (c.gated)
      a.log_gates = gate_logs.floats();
    a.epsilons = epsilon_buffer.floats();
    if (c.has_affine)
      a.norm_weight = weight_buffer.floats(), a.norm_bias = bias_buffer.floats();
    a.out = out.data(), a.scratch = scratch.floats(), a.counters = counters.data();
    a.key_scale = 1 / std::sqrt(float(keys));
    a.batch = c.batch, a.heads = c.heads, a.key_size = keys, a.value_size = size, a.interleaved = c.rotation == 1;
    a.epsilon_count = c.epsilon_count, a.norm = c.norm, a.activation = c.activation;
    for (int h = 0; h < c.heads; h++)
      a.log2_gammas[h] = float(std::log2(0.9 + 0.1 * h / c.heads));
    if (auto error = run(device::decode_step_kernel, a, type, c.order); !error.empty())
      return error;

    Values expected;
    for (int n = 0; n < rows; n++) {
      int b = n / c.heads, h = n % c.heads, group = b * c.groups + h / share;
      const double *angle_cosine = angles.cosine.data() + (c.shared_angles ? 0 : b * (keys / 2));
      const double *angle_sine = angles.sine.data() + (c.shared_angles ? 0 : b * (keys / 2));
      Values x(q.begin() + n * keys, q.begin() + (n + 1) * keys);
      Values y(k.begin() + group * keys, k.begin() + (group + 1) * keys), o(size_t(size), 0.0);
      turn(x.data(), keys, angle_cosine, angle_sine, c.rotation, 1);
      turn(y.data(), keys, angle_cosine, angle_sine, c.rotation, 1);
      double decay = c.gated ? std::exp(gates[size_t(n)]) : std::exp2(double(a.log2_gammas[h]));
      for (int i = 0; i < keys; i++)
        for (int j = 0; j < size; j++) {
          double &s = state[(size_t(n) * keys + i) * size + j];
          s = decay * s + y[size_t(i)] / std::sqrt(double(keys)) * v[size_t(group) * size + j];
          o[size_t(j)] += x[size_t(i)] * s;
        }
      auto row = normed(o.data(), size, c.norm, epsilons[size_t(n) % epsilons.size()],
                        c.norm && c.has_affine ? weight.data() + h * size : nullptr,
                        c.norm && c.has_affine ? bias.data() + h * size : nullptr,
                        c.has_gate ? gate.data() + n * size : nullptr, c.activation);
      expected.insert(expected.end(), row.begin(), row.end());
    }
    found.add(step ? "the second output" : "the first output", out, expected);
    for (uint32_t counter : counters)
      if (counter)
        return "a counter was left at " + std::to_string(counter);
  }
  found.add("the state", state_buffer, state);
  outcome.launches = 2;
  return found.error;
}

std::string check_head_norm(const rde_head_norm &c, rde_outcome &outcome) {
  Comparison found(outcome);
  auto type = static_cast<Element>(c.element);
  Numbers numbers(8);
  int rows = c.batch * c.heads * c.time, size = c.size, width = c.heads * size;
  Values x = rounded_to(type, numbers.take(size_t(rows) * size)), gate = rounded_to(type, numbers.take(x.size(), 3));
  Values d = rounded_to(type, numbers.take(x.size())), epsilons(size_t(c.epsilon_count));
  for (double &e : epsilons)
    e = float(0.2 + 0.1 * numbers.next());
  Values weight = rounded_to(Element::f32, numbers.take(size_t(width)));
  Values bias = rounded_to(Element::f32, numbers.take(size_t(width)));
  auto tokens = [&](const Values &values) { // [B, T, H, V]
    return Buffer(type, c.batch, c.time, c.heads, size, Layout::heads_first, values);
  };
  auto empty = [&] { return Buffer(type, c.batch, c.time, c.heads, size); };
  Buffer x_rows(type, c.batch, c.heads, c.time, size, Layout::heads_first, x), dx(type, c.batch, c.heads, c.time, size);
  Buffer gate_rows = tokens(gate), d_rows = tokens(d), out = empty(), d_gate = empty();
  Buffer epsilon_rows(epsilons), weight_row(weight), bias_row(bias);
  device::HeadNormArguments a = {};
  a.x = x_rows.data(), a.epsilons = epsilon_rows.floats(), a.out = out.data(), a.d_out = d_rows.data(), a.dx = dx.data();
  if (c.has_gate)
    a.gate = gate_rows.data(), a.d_gate = d_gate.data();
  a.epsilon_count = c.epsilon_count, a.batch = c.batch, a.heads = c.heads, a.time = c.time, a.size = size;
  a.kind = c.norm, a.activation = c.activation, a.parts = std::min(3, c.batch * c.time);
  Buffer d_weight(int64_t(a.parts) * width), d_bias(int64_t(a.parts) * width);
  if (c.has_affine)
    a.weight = weight_row.floats(), a.bias = bias_row.floats(), a.d_weight = d_weight.floats(), a.d_bias = d_bias.floats();
  if (auto error = run(device::head_norm_kernel, a, type, c.order); !error.empty())
    return error;
  if (auto error = run(device::head_norm_gradient_kernel, a, type, c.order); !error.empty())
    return error;

  Values expected(x.size()), expected_dx(x.size()), expected_gate(x.size()), expected_weight(size_t(width), 0.0);
  Values expected_bias(size_t(width), 0.0);
  for (int row = 0; row < rows; row++) {
    int t = row % c.time, h = row / c.time % c.heads, b = row / c.time / c.heads;
    size_t other = size_t((b * c.time + t) * c.heads + h) * size, first = size_t(row) * size;
    const double *w = c.has_affine ? weight.data() + h * size : nullptr;
    const double *bias_of = c.has_affine ? bias.data() + h * size : nullptr;
    double epsilon = epsilons[size_t(row) % epsilons.size()];
    auto value = [&] {
      return normed(x.data() + first, size, c.norm, epsilon, w, bias_of, c.has_gate ? gate.data() + other : nullptr,
                    c.activation);
    };
    auto loss = [&] {
      auto y = value();
      double sum = 0;
      for (int i = 0; i < size; i++)
        sum += y[size_t(i)] * d[other + i];
      return sum;
    };
    auto y = value();
    std::copy(y.begin(), y.end(), expected.begin() + long(other));
    for (int i = 0; i < size; i++) {
      expected_dx[first + i] = slope(x[first + i], loss);
      if (c.has_gate)
        expected_gate[other + i] = slope(gate[other + i], loss);
      if (c.has_affine) {
        expected_weight[size_t(h * size + i)] += slope(weight[size_t(h * size + i)], loss);
        expected_bias[size_t(h * size + i)] += slope(bias[size_t(h * size + i)], loss);
      }
    }
  }
  found.add("out", out, expected);
  found.add("dx", dx, expected_dx);
  if (c.has_gate)
    found.add("d_gate", d_gate, expected_gate);
  auto summed = [&](const Buffer &parts) {
    Values values = parts.values(), sum(size_t(width), 0.0);
    for (size_t i = 0; i < values.size(); i++)
      sum[i % size_t(width)] += values[i];
    return Buffer(sum);
  };
  if (c.has_affine) {
    found.add("d_weight", summed(d_weight), expected_weight);
    found.add("d_bias", summed(d_bias), expected_bias);
    if (!d_weight.is_intact() || !d_bias.is_intact())
      return "the gradients of weights were written outside of their elements";
  }
  outcome.launches = 2;
  return found.error;
}

std::string check_rotation(Element type, int batch, int time, int heads, int size, int rotation, bool shared_angles,
                           Order order, rde_outcome &outcome) {
  Comparison found(outcome);
  Numbers numbers(9);
  Values x = rounded_to(type, numbers.take(size_t(batch) * time * heads * size)); // [B, H, T, A]
  Angles angles(numbers, size_t(shared_angles ? 1 : batch) * time * (size / 2));
  Buffer cosine(angles.cosine), sine(angles.sine);
  for (int sign : {1, -1}) {
    // Forward from tokens first to heads first, and back.
    auto layout = sign > 0 ? Layout::tokens_first : Layout::heads_first;
    Buffer in(type, batch, heads, time, size, layout, x);
    Buffer out(type, batch, heads, time, size, sign > 0 ? Layout::heads_first : Layout::tokens_first);
    auto from = in.view(), to = out.view();
    device::RotateHeadsArguments a = {};
    a.x = from.data, a.out = out.data();
    a.in_strides[0] = from.batch, a.in_strides[1] = from.time, a.in_strides[2] = from.head;
    a.out_strides[0] = to.batch, a.out_strides[1] = to.time, a.out_strides[2] = to.head;
    if (rotation)
      a.cosine = cosine.floats(), a.sine = sine.floats(), a.angle_batch = shared_angles ? 0 : int64_t(time) * (size / 2);
    a.scale = 0.25f, a.sign = float(sign);
    a.batch = batch, a.time = time, a.heads = heads, a.size = size, a.interleaved = rotation == 1;
    if (auto error = run(device::rotate_heads_kernel, a, type, order); !error.empty())
      return error;
    Values expected = x;
    for (int row = 0; row < batch * heads * time; row++) {
      int place = ((shared_angles ? 0 : row / time / heads) * time + row % time) * (size / 2);
      double *values = expected.data() + size_t(row) * size;
      turn(values, size, angles.cosine.data() + place, angles.sine.data() + place, rotation, sign);
      for (int i = 0; i < size; i++)
        values[i] *= 0.25;
    }
    found.add(sign > 0 ? "the rotation" : "the way back", out, expected);
  }
  outcome.launches = 2;
  return found.error;
}

std::string check_token_loss(Element type, int rows, int size, bool aligned, Order order, rde_outcome &outcome) {
  Comparison found(outcome);
  Numbers numbers(10);
  auto layout = aligned ? Layout::heads_first : Layout::unaligned;
  Values logits = rounded_to(type, numbers.take(size_t(rows) * size, 20)), d_loss = numbers.take(size_t(rows)),
         d_sum = numbers.take(size_t(rows));
  Buffer in(type, 1, 1, rows, size, layout, logits), gradient(type, 1, 1, rows, size, layout);
  d_loss = rounded_to(Element::f32, d_loss), d_sum = rounded_to(Element::f32, d_sum);
  Buffer d_losses(d_loss), d_sums(d_sum), losses(rows), sums(rows);
  std::vector<int64_t> targets;
  for (int row = 0; row < rows; row++)
    targets.push_back(row % 4 == 3 ? device::kIgnoredTarget : row * 977 % size);
  device::TokenLossArguments a = {};
  a.logits = in.data(), a.targets = targets.data(), a.losses = losses.floats(), a.log_sums = sums.floats();
  a.d_losses = d_losses.floats(), a.d_log_sums = d_sums.floats(), a.d_logits = gradient.data();
  a.stride = a.d_stride = in.view().time, a.rows = rows, a.size = size;
  if (auto error = run(device::token_loss_kernel, a, type, order); !error.empty())
    return error;
  if (auto error = run(device::token_loss_gradient_kernel, a, type, order); !error.empty())
    return error;
  Values expected, expected_sums, expected_gradient;
  for (int row = 0; row < rows; row++) {
    const double *x = logits.data() + size_t(row) * size;
    double sum = 0;
    for (int i = 0; i < size; i++)
      sum += std::exp(x[i]);
    double z = std::log(sum), factor = targets[size_t(row)] < 0 ? 0 : d_loss[size_t(row)];
    expected_sums.push_back(z);
    expected.push_back(targets[size_t(row)] < 0 ? 0 : z - x[targets[size_t(row)]]);
    for (int i = 0; i < size; i++)
      expected_gradient.push_back((factor + d_sum[size_t(row)]) * std::exp(x[i] - z) -
                                  (i == targets[size_t(row)] ? factor : 0));
  }
  found.add("losses", losses, expected);
  found.add("log_sums", sums, expected_sums);
  found.add("d_logits", gradient, expected_gradient);
  outcome.launches = 2;
  return found.error;
}

} // namespace
} // namespace retnet::emulation

using namespace retnet::emulation;

const char *rde_check_decode(const rde_decode *shape, rde_outcome *outcome) {
  return kept(check_decode(*shape, *outcome));
}
const char *rde_check_head_norm(const rde_head_norm *shape, rde_outcome *outcome) {
  return kept(check_head_norm(*shape, *outcome));
}
const char *rde_check_rotation(rde_element element, int32_t batch, int32_t time, int32_t heads, int32_t size,
                               int32_t rotation, bool shared_angles, rde_order order, rde_outcome *outcome) {
  auto type = static_cast<Element>(element);
  return kept(check_rotation(type, batch, time, heads, size, rotation, shared_angles, order, *outcome));
}
const char *rde_check_token_loss(rde_element element, int32_t rows, int32_t size, bool aligned, rde_order order,
                                 rde_outcome *outcome) {
  return kept(check_token_loss(static_cast<Element>(element), rows, size, aligned, order, *outcome));
}
