// Retention's kernels against the definition.
#include "RetNetDeviceEmulation.h"
#include "buffers.h"
#include "machine.h"
#include "retention_definition.h"

#include <cmath>

namespace retnet::emulation {
namespace {

RetentionDefinition make_definition(const rde_retention &c, Element type) {
  RetentionDefinition d;
  d.batch = c.batch, d.heads = c.heads, d.groups = c.groups, d.time = c.time;
  d.key_size = c.key_size, d.value_size = c.value_size;
  Numbers numbers(static_cast<uint64_t>(c.time * 1000 + c.key_size));
  size_t rows = size_t(c.batch) * c.heads, shared = size_t(c.batch) * c.groups;
  d.q = rounded_to(type, numbers.take(shared * c.time * c.key_size));
  d.k = rounded_to(type, numbers.take(shared * c.time * c.key_size, 1 / std::sqrt(c.key_size)));
  d.v = rounded_to(type, numbers.take(rows * c.time * c.value_size));
  d.d_out = rounded_to(type, numbers.take(rows * c.time * c.value_size));
  if (c.has_state)
    d.state_in = rounded_to(Element::f32, numbers.take(rows * c.key_size * c.value_size, 2));
  if (c.keeps_state)
    d.d_state_out = rounded_to(Element::f32, numbers.take(rows * c.key_size * c.value_size, 2));
  for (size_t n = 0; n < rows; n++) {
    double part = c.heads > 1 ? double(n % c.heads) / (c.heads - 1) : 0;
    double log = std::log(c.first_gamma) * (1 - part) + std::log(c.last_gamma) * part;
    for (int t = 0; t < c.time; t++) {
      double x = numbers.next();
      // Gates about the decay of their head, and now and then one that is closed.
      d.log_gates.push_back(!c.gated ? log : x > 0.97 ? -2000 : double(float(log * (1 + x))));
    }
  }
  return d;
}

std::string check(const rde_retention &c, bool backward, rde_outcome &outcome) {
  Comparison found(outcome);
  auto type = static_cast<Element>(c.element);
  auto layout = static_cast<Layout>(c.layout);
  auto definition = make_definition(c, type);
  auto buffer = [&](int heads, int size, const std::vector<double> *values = nullptr) {
    return values ? Buffer(type, c.batch, heads, c.time, size, layout, *values)
                  : Buffer(type, c.batch, heads, c.time, size, layout);
  };
  int64_t state_size = int64_t(c.batch) * c.heads * c.key_size * c.value_size;
  auto q = buffer(c.groups, c.key_size, &definition.q), k = buffer(c.groups, c.key_size, &definition.k);
  auto v = buffer(c.heads, c.value_size, &definition.v), out = buffer(c.heads, c.value_size);
  auto d_out = buffer(c.heads, c.value_size, &definition.d_out), dv = buffer(c.heads, c.value_size);
  auto dq = buffer(c.heads, c.key_size), dk = buffer(c.heads, c.key_size);
  Buffer state_in(definition.state_in), state_out(state_size), d_state_out(definition.d_state_out);
  Buffer d_state_in(state_size), gates(definition.log_gates), d_gates(int64_t(definition.log_gates.size()));

  std::vector<float> log2_gammas;
  for (int h = 0; h < c.heads; h++)
    log2_gammas.push_back(static_cast<float>(definition.log_gates[size_t(h) * c.time] / std::log(2.0)));
  device::RetentionProblem p = {};
  p.q = q.view(), p.k = k.view(), p.v = v.view(), p.out = out.view();
  p.d_out = d_out.view(), p.dq = dq.view(), p.dk = dk.view(), p.dv = dv.view();
  p.batch = c.batch, p.heads = c.heads, p.groups = c.groups, p.time = c.time;
  p.key_size = c.key_size, p.value_size = c.value_size;
  if (c.has_state)
    p.state_in = state_in.floats(), p.d_state_in = d_state_in.floats();
  if (c.keeps_state)
    p.state_out = state_out.floats(), p.d_state_out = d_state_out.floats();
  if (c.gated)
    p.log_gates = gates.floats(), p.d_log_gates = d_gates.floats();
  else
    p.log2_gammas = log2_gammas.data();
  device::Limits limits{c.device.architecture, c.device.multiprocessors, c.device.shared_bytes};
  Buffer workspace(device::retention_workspace(p, type, limits, backward) / 4);
  p.workspace = workspace.data();

  device::Plan plan;
  bool fits = backward ? device::retention_backward_plan(p, type, limits, plan)
                       : device::retention_forward_plan(p, type, limits, plan);
  if (!fits)
    return "there is no plan for these sizes";
  if (auto error = launch(plan, c.order); !error.empty())
    return error;
  outcome.launches = plan.count;

  definition.run_forward();
  if (backward)
    definition.run_backward(c.gated);
  if (backward) {
    found.add("dq", dq, definition.dq);
    found.add("dk", dk, definition.dk);
    found.add("dv", dv, definition.dv);
    if (c.has_state)
      found.add("d_state", d_state_in, definition.d_state_in);
    if (c.gated)
      found.add("d_gates", d_gates, definition.d_log_gates);
  } else {
    found.add("out", out, definition.out);
    if (c.keeps_state)
      found.add("state", state_out, definition.state_out);
  }
  return workspace.is_intact() ? found.error : "something was written outside of the workspace";
}

} // namespace
} // namespace retnet::emulation

using namespace retnet::emulation;

const char *rde_check_retention(const rde_retention *shape, bool backward, rde_outcome *outcome) {
  return kept(check(*shape, backward, *outcome));
}

double rde_definition_error(bool gated) {
  rde_retention c = {};
  c.batch = 1, c.heads = 2, c.groups = 1, c.time = 5, c.key_size = 3, c.value_size = 2;
  c.has_state = c.keeps_state = true, c.gated = gated, c.first_gamma = 0.5, c.last_gamma = 0.9;
  auto d = make_definition(c, retnet::device::Element::f32);
  for (double &log : d.log_gates)
    log = std::max(log, -3.0);
  auto loss = [&] {
    d.run_forward();
    double sum = 0;
    for (size_t i = 0; i < d.out.size(); i++)
      sum += d.out[i] * d.d_out[i];
    for (size_t i = 0; i < d.state_out.size(); i++)
      sum += d.state_out[i] * d.d_state_out[i];
    return sum;
  };
  loss();
  d.run_backward(true);
  double worst = 0;
  auto compare = [&](std::vector<double> &x, const std::vector<double> &gradient) {
    std::vector<double> found(gradient.size());
    for (size_t i = 0; i < x.size(); i++) {
      double before = x[i], step = 1e-5;
      x[i] = before + step;
      double above = loss();
      x[i] = before - step;
      found[i] = (above - loss()) / (2 * step);
      x[i] = before;
    }
    worst = std::max(worst, relative_error(found, gradient));
  };
  // Of queries and keys that heads share, the gradients are sums over the heads.
  auto summed = [&](const std::vector<double> &x) {
    std::vector<double> sum(x.begin(), x.begin() + long(x.size() / 2));
    for (size_t i = 0; i < sum.size(); i++)
      sum[i] += x[sum.size() + i];
    return sum;
  };
  compare(d.q, summed(d.dq));
  compare(d.k, summed(d.dk));
  compare(d.v, d.dv);
  compare(d.state_in, d.d_state_in);
  compare(d.log_gates, d.d_log_gates);
  return worst;
}
