// Retention and gated retention on CUDA devices: plans of scans (RetNetDeviceKernels/rules.h) over whole sequences, forward
// and backward.
//
// Only inputs and the first state are kept for the backward pass. A chunk length plays no part: the kernels have their own.
#include "operators.h"

#include <cmath>
#include <map>
#include <mutex>

namespace ctorch::cuda {
namespace {

using device::RetentionProblem;

device::View view(const at::Tensor &x) {
  return x.defined() ? device::View{x.const_data_ptr(), x.stride(0), x.stride(1), x.stride(2)} : device::View{};
}

// Arguments of both passes.
struct Inputs {
  at::Tensor q, k, v, state, log_gates;
  std::vector<float> log2_gammas;

  RetentionProblem problem() const {
    RetentionProblem p{};
    p.q = view(q), p.k = view(k), p.v = view(v);
    p.state_in = numbers(state), p.log_gates = numbers(log_gates);
    p.log2_gammas = log_gates.defined() ? nullptr : log2_gammas.data();
    p.batch = static_cast<int32_t>(v.size(0)), p.heads = static_cast<int32_t>(v.size(1));
    p.groups = static_cast<int32_t>(q.size(1)), p.time = static_cast<int32_t>(v.size(2));
    p.key_size = static_cast<int32_t>(q.size(3)), p.value_size = static_cast<int32_t>(v.size(3));
    return p;
  }
  device::Element element() const { return element_of(v.scalar_type()); }
  bool are_countable() const {
    // Rounded up to chunks and tiles.
    return cuda::are_countable(v.size(0) * v.size(1), v.size(2) + 4096, q.size(3) * v.size(3) + 4096);
  }
};

at::Tensor workspace_of(const RetentionProblem &problem, const Inputs &in, const device::Limits &limits, bool backward) {
  int64_t bytes = device::retention_workspace(problem, in.element(), limits, backward);
  return make::empty({bytes}, in.v.options().dtype(at::kByte));
}

void run(Place &place, const device::Plan &plan) {
  for (int32_t i = 0; i < plan.count; i++)
    place.run(plan.steps[i].kernel, plan.steps[i].arguments, static_cast<size_t>(plan.steps[i].argument_bytes));
}

// Outputs and the next state if it is kept; empty where there is no kernel for these sizes.
variable_list forward(const Inputs &in, bool keeps_state) {
  Place place(in.v);
  auto problem = in.problem();
  auto wide = in.v.options().dtype(at::kFloat);
  auto out = make::empty(in.v.sizes(), in.v.options());
  auto next = keeps_state ? make::empty({in.v.size(0), in.v.size(1), in.q.size(3), in.v.size(3)}, wide) : at::Tensor();
  problem.out = view(out), problem.state_out = places(next);
  auto workspace = workspace_of(problem, in, place.limits(), false);
  problem.workspace = workspace.mutable_data_ptr();
  device::Plan plan;
  if (!device::retention_forward_plan(problem, in.element(), place.limits(), plan))
    return {};
  run(place, plan);
  return keeps_state ? variable_list{out, next} : variable_list{out};
}

// Gradients per head are summed over the heads that share a query and key.
at::Tensor summed(const at::Tensor &gradient, int64_t groups) {
  if (gradient.size(1) == groups)
    return gradient;
  auto shape = gradient.sizes();
  return gradient.reshape({shape[0], groups, shape[1] / groups, shape[2], shape[3]}).sum(2);
}

// Gradients of q, k, v, log gates and the first state.
variable_list backward(const Inputs &in, const at::Tensor &d_out, const at::Tensor &d_state, bool needs_state) {
  Place place(in.v);
  auto problem = in.problem();
  auto heads = std::vector<int64_t>{in.v.size(0), in.v.size(1), in.q.size(2), in.q.size(3)};
  auto dq = make::empty(heads, in.q.options()), dk = make::empty_like(dq), dv = make::empty(in.v.sizes(), in.v.options());
  auto d_gates = in.log_gates.defined() ? make::empty_like(in.log_gates) : at::Tensor();
  at::Tensor d_first;
  if (needs_state)
    d_first = make::empty({heads[0], heads[1], heads[3], in.v.size(3)}, in.v.options().dtype(at::kFloat));
  problem.d_out = view(d_out), problem.d_state_out = numbers(d_state);
  problem.dq = view(dq), problem.dk = view(dk), problem.dv = view(dv);
  problem.d_log_gates = places(d_gates), problem.d_state_in = places(d_first);
  auto workspace = workspace_of(problem, in, place.limits(), true);
  problem.workspace = workspace.mutable_data_ptr();
  device::Plan plan;
  TORCH_CHECK(device::retention_backward_plan(problem, in.element(), place.limits(), plan),
              "there is no kernel for the gradients of retention with keys of ", heads[3], " and values of ", in.v.size(3));
  run(place, plan);
  return {summed(dq, in.q.size(1)), summed(dk, in.q.size(1)), dv, d_gates, d_first};
}

// Whether both passes have kernels: what is recorded must have gradients.
bool has_gradients(const Inputs &in) {
  Place place(in.v);
  auto problem = in.problem();
  // Any address that is not null: a plan reads none.
  problem.out = problem.d_out = problem.dv = view(in.v);
  problem.dq = problem.dk = view(in.q);
  device::Plan plan;
  return device::retention_backward_plan(problem, in.element(), place.limits(), plan);
}

variable_list recorded(const Inputs &in, bool keeps_state) {
  if (!in.are_countable())
    return {};
  if (!needs_gradients(in.q, in.k, in.v, in.state, in.log_gates))
    return forward(in, keeps_state);
  if (!has_gradients(in))
    return {};
  bool needs_state = in.state.defined() && in.state.requires_grad();
  return record(
      {in.q, in.k, in.v, in.log_gates, in.state},
      [&]() -> Pass { return {forward(in, keeps_state), {in.q, in.k, in.v, in.log_gates, in.state}}; },
      [needs_state, log2_gammas = in.log2_gammas](const variable_list &saved, variable_list &gradients) -> variable_list {
        Inputs in{saved[0], saved[1], saved[2], saved[4], saved[3], log2_gammas};
        if (!gradients[0].defined() && (gradients.size() < 2 || !gradients[1].defined()))
          return {};
        auto d_out = gradients[0].defined() ? unit_rows(gradients[0]) : make::zeros(in.v.sizes(), in.v.options());
        auto d_state = gradients.size() > 1 && gradients[1].defined() ? gradients[1].contiguous() : at::Tensor();
        auto all = backward(in, d_out, d_state, needs_state);
        return {all[0], all[1], all[2], all[3], all[4]};
      },
      MissingGradients::undefined);
}

at::Tensor wide(const at::Tensor &x) { return x.defined() ? x.to(at::kFloat).contiguous() : x; }

} // namespace

variable_list chunkwise_retention(const at::Tensor &q, const at::Tensor &k, const at::Tensor &v, const at::Tensor &state,
                                  const std::vector<double> &log_gammas, int64_t, bool keeps_state) {
  Inputs in{unit_rows(q), unit_rows(k), unit_rows(v), wide(state), at::Tensor(), {}};
  for (double log : log_gammas)
    in.log2_gammas.push_back(static_cast<float>(log / std::log(2.0)));
  return recorded(in, keeps_state);
}

variable_list gated_retention(const at::Tensor &q, const at::Tensor &k, const at::Tensor &v, const at::Tensor &log_gates,
                              const at::Tensor &state, int64_t) {
  return recorded({unit_rows(q), unit_rows(k), unit_rows(v), wide(state), wide(log_gates), {}}, true);
}

// ---- Steps ----

namespace {

device::Rows rows(const at::Tensor &x, int64_t share) {
  if (!x.defined())
    return {};
  return {x.const_data_ptr(), x.stride(0), x.stride(1), 0, static_cast<int32_t>(share), 0};
}

// What a step with a norm needs besides: room for outputs, and counters that are zero before and after. They are kept, since
// launches that a graph has recorded use them again.
struct StepScratch {
  at::Tensor sums, counters;
};
StepScratch &scratch_of(const at::Tensor &state) {
  // Never destroyed: the device may be gone before this library's objects are.
  static auto &kept = *new std::map<std::pair<int64_t, void *>, std::vector<StepScratch>>;
  static std::mutex lock;
  std::lock_guard<std::mutex> guard(lock);
  auto &list = kept[{state.device().index(), current_stream(state.device())}];
  int64_t heads = state.size(0) * state.size(1), sums = heads * state.size(3);
  // Larger ones come in addition, as smaller ones may be in a graph.
  if (list.empty() || list.back().counters.numel() < heads || list.back().sums.numel() < sums) {
    auto most = list.empty() ? std::pair<int64_t, int64_t>{0, 0} : std::pair{list.back().counters.numel(), list.back().sums.numel()};
    list.push_back({make::empty({std::max(most.second, sums)}, state.options()),
                    make::zeros({std::max(most.first, heads)}, state.options().dtype(at::kInt))});
  }
  return list.back();
}

// Undefined where there is no kernel for these sizes.
at::Tensor decoded(device::DecodeStepArguments a, const at::Tensor &like, at::Tensor &state,
                   const std::vector<double> &log_gammas) {
  if (!are_countable(state.numel()) || log_gammas.size() > device::kMaximumHeads)
    return {};
  Place place(like);
  auto out = make::empty({state.size(0), state.size(1), state.size(3)}, like.options());
  a.state = places(state), a.out = out.mutable_data_ptr();
  a.batch = static_cast<int32_t>(state.size(0)), a.heads = static_cast<int32_t>(state.size(1));
  a.key_size = static_cast<int32_t>(state.size(2)), a.value_size = static_cast<int32_t>(state.size(3));
  for (size_t h = 0; h < log_gammas.size(); h++)
    a.log2_gammas[h] = static_cast<float>(log_gammas[h] / std::log(2.0));
  device::Kernel kernel;
  if (!device::decode_step_kernel(a, element_of(like.scalar_type()), place.limits(), kernel))
    return {};
  if (a.norm != device::kNoNorm) {
    auto &scratch = scratch_of(state);
    a.scratch = places(scratch.sums);
    a.counters = static_cast<uint32_t *>(scratch.counters.mutable_data_ptr());
  }
  place.run(kernel, a);
  return out;
}

} // namespace

at::Tensor retention_step(const at::Tensor &q, const at::Tensor &k, const at::Tensor &v, at::Tensor &state,
                          const double *log_gammas, int64_t heads) {
  device::DecodeStepArguments a{};
  a.query = rows(q, 1), a.key = rows(k, 1), a.value = rows(v, 1);
  a.key_scale = 1;
  a.epsilon_count = 1;
  return decoded(a, v, state, std::vector<double>(log_gammas, log_gammas + heads));
}

at::Tensor retention_decode(const RetentionDecode &step, at::Tensor &state) {
  int64_t share = state.size(1) / step.key.size(1);
  device::DecodeStepArguments a{};
  a.query = rows(step.query, 1), a.key = rows(step.key, share), a.value = rows(step.value, share);
  a.gate = rows(step.gate, 1);
  a.cosine = numbers(step.cosine), a.sine = numbers(step.sine);
  a.angle_batch = step.cosine.defined() && step.cosine.numel() > state.size(2) / 2 ? state.size(2) / 2 : 0;
  a.epsilons = numbers(step.epsilons), a.epsilon_count = static_cast<int32_t>(step.epsilons.numel());
  a.norm_weight = numbers(step.norm_weight), a.norm_bias = numbers(step.norm_bias);
  a.key_scale = static_cast<float>(step.key_scale);
  a.interleaved = step.interleaved, a.norm = step.kind, a.activation = step.activation;
  auto out = decoded(a, step.query, state, step.log_gammas);
  return out.defined() ? out.reshape({state.size(0), -1}) : out;
}

} // namespace ctorch::cuda
