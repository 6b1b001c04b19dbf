// Sparse mixtures of experts: which token goes to which expert, the way there and back, and one matrix product per
// expert.
//
// A slot is one token at one expert. Slots lie sorted by expert, within an expert by token, so every expert sees one
// contiguous block of rows. Blocks can be filled up with empty slots, of token -1: oneDNN generates code for every
// new size of a matrix product, which took two fifths of a training step.
#include "node.h"
#include "table.h"

#include <ATen/ops/addmm.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/sum.h>
#include <algorithm>
#include <numeric>

namespace ctorch {
namespace {

struct Slots {
  std::vector<int64_t> tokens, entries; // sorted by expert, then token; an entry is token * E + expert
  std::vector<int64_t> counts;          // slots of each expert
  std::vector<int64_t> choices;         // [N, k]: the wanted experts of each token, best first
};

// The k most probable experts of every token; of equal ones the first.
std::vector<int64_t> best_experts(const double *p, int64_t tokens, int64_t experts, int64_t k) {
  std::vector<int64_t> result(tokens * k);
  for (int64_t n = 0; n < tokens; n++) {
    const double *row = p + n * experts;
    for (int64_t c = 0; c < k; c++) {
      int64_t best = -1;
      for (int64_t e = 0; e < experts; e++) {
        bool taken = false;
        for (int64_t earlier = 0; earlier < c; earlier++)
          taken |= result[n * k + earlier] == e;
        // The negated test also takes the first expert of a row of NaNs.
        if (!taken && (best < 0 || row[e] > row[best]))
          best = e;
      }
      result[n * k + c] = best;
    }
  }
  return result;
}

// With sequences, [N], the capacity is that of an expert for the tokens of one sequence.
Slots by_token(const double *p, int64_t tokens, int64_t experts, int64_t k, int64_t capacity,
               const int64_t *sequences, bool prioritized) {
  Slots slots;
  slots.counts.assign(experts, 0);
  slots.choices = best_experts(p, tokens, experts, k);
  std::vector<int64_t> order(tokens);
  std::iota(order.begin(), order.end(), 0);
  if (prioritized)
    std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
      return p[a * experts + slots.choices[a * k]] > p[b * experts + slots.choices[b * k]];
    });
  // All first choices are placed before any second one.
  int64_t rows = sequences && tokens > 0 ? *std::max_element(sequences, sequences + tokens) + 1 : 1;
  std::vector<int64_t> taken(rows * experts);
  std::vector<std::vector<int64_t>> members(experts);
  for (int64_t c = 0; c < k; c++)
    for (int64_t n : order) {
      int64_t e = slots.choices[n * k + c];
      auto &places = taken[(sequences ? sequences[n] : 0) * experts + e];
      if (capacity > 0 && places >= capacity)
        continue;
      places++;
      members[e].push_back(n);
    }
  for (int64_t e = 0; e < experts; e++) {
    std::sort(members[e].begin(), members[e].end());
    slots.counts[e] = static_cast<int64_t>(members[e].size());
    slots.tokens.insert(slots.tokens.end(), members[e].begin(), members[e].end());
    for (int64_t n : members[e])
      slots.entries.push_back(n * experts + e);
  }
  return slots;
}

Slots by_expert(const double *p, int64_t tokens, int64_t experts, int64_t capacity) {
  Slots slots;
  slots.choices = best_experts(p, tokens, experts, 1);
  int64_t taken = capacity <= 0 ? tokens : std::min(capacity, tokens);
  slots.counts.assign(experts, taken);
  std::vector<int64_t> order(tokens);
  for (int64_t e = 0; e < experts; e++) {
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(),
                     [&](int64_t a, int64_t b) { return p[a * experts + e] > p[b * experts + e]; });
    std::sort(order.begin(), order.begin() + taken);
    slots.tokens.insert(slots.tokens.end(), order.begin(), order.begin() + taken);
    for (int64_t i = 0; i < taken; i++)
      slots.entries.push_back(order[i] * experts + e);
  }
  return slots;
}

// Empty slots after those of each expert, up to a multiple of `granule`.
void fill_up(Slots &slots, int64_t granule) {
  std::vector<int64_t> tokens, entries;
  int64_t start = 0;
  for (int64_t count : slots.counts) {
    int64_t full = (count + granule - 1) / granule * granule;
    tokens.insert(tokens.end(), slots.tokens.begin() + start, slots.tokens.begin() + start + count);
    entries.insert(entries.end(), slots.entries.begin() + start, slots.entries.begin() + start + count);
    tokens.insert(tokens.end(), full - count, -1);
    entries.insert(entries.end(), full - count, 0);
    start += count;
  }
  slots.tokens = std::move(tokens);
  slots.entries = std::move(entries);
}

at::Tensor indices(const std::vector<int64_t> &values, at::IntArrayRef shape) {
  return make::vector(values).reshape(shape);
}

// Calls body(expert, first row, rows) for every expert.
template <class Body> void for_experts(const std::vector<int64_t> &counts, Body &&body) {
  int64_t start = 0;
  for (size_t e = 0; e < counts.size(); start += counts[e], e++)
    body(static_cast<int64_t>(e), start, counts[e]);
}

// Rows x [M, in] times the matrix of the expert that each row belongs to: weight [E, out, in], bias [E, out].
at::Tensor grouped_linear(const at::Tensor &x, const at::Tensor &weight, const at::Tensor &bias,
                          const std::vector<int64_t> &counts) {
  bool has_bias = bias.defined();
  auto forward = [&]() -> Pass {
    auto out = make::empty({x.size(0), weight.size(1)}, x.options());
    for_experts(counts, [&](int64_t e, int64_t start, int64_t count) {
      if (count == 0)
        return;
      auto target = out.narrow(0, start, count), rows = x.narrow(0, start, count), matrix = weight.select(0, e).t();
      if (bias.defined())
        at::addmm_out(target, bias.select(0, e), rows, matrix);
      else
        at::mm_out(target, rows, matrix);
    });
    return {{out}, {x, weight}};
  };
  auto backward = [counts, has_bias](const variable_list &saved, variable_list &gradients) -> variable_list {
    const auto &x = saved[0], &weight = saved[1];
    auto g = gradients[0].contiguous();
    auto dx = make::empty_like(x), dw = make::empty_like(weight);
    at::Tensor db;
    if (has_bias)
      db = make::empty({weight.size(0), weight.size(1)}, weight.options());
    for_experts(counts, [&](int64_t e, int64_t start, int64_t count) {
      auto matrix = dw.select(0, e);
      if (count == 0) {
        matrix.zero_();
        if (db.defined())
          db.select(0, e).zero_();
        return;
      }
      auto rows = g.narrow(0, start, count), target = dx.narrow(0, start, count);
      at::mm_out(target, rows, weight.select(0, e));
      at::mm_out(matrix, rows.t(), x.narrow(0, start, count));
      if (db.defined()) {
        auto sum = db.select(0, e);
        at::sum_out(sum, rows, at::IntArrayRef{0});
      }
    });
    return {dx, dw, db};
  };
  return record({x, weight, bias}, forward, backward)[0];
}

} // namespace
} // namespace ctorch

using namespace ctorch;

ct_status ct_route(ct_tensor *slot_tokens, ct_tensor *slot_entries, ct_tensor *choices, int64_t *counts,
                   ct_tensor probabilities, ct_routing_order routing, int64_t k, int64_t capacity,
                   const int64_t *sequences, int64_t granule) {
  return guarded([&] {
    const auto &p = probabilities->value;
    TORCH_CHECK_VALUE(p.dim() == 2 && p.size(0) > 0 && p.size(1) > 0, "routing needs probabilities [N, E], found ",
                      p.sizes());
    TORCH_CHECK_VALUE(k >= 1 && k <= p.size(1), "a token cannot go to ", k, " of ", p.size(1), " experts");
    TORCH_CHECK_VALUE(!sequences || std::all_of(sequences, sequences + p.size(0), [](int64_t s) { return s >= 0; }),
                      "a sequence has a negative index");
    auto wide = p.detach().to(at::kCPU, at::kDouble).contiguous();
    const double *values = wide.const_data_ptr<double>();
    auto slots = routing == CT_ROUTING_BY_EXPERT
                     ? by_expert(values, p.size(0), p.size(1), capacity)
                     : by_token(values, p.size(0), p.size(1), k, capacity, sequences,
                                routing == CT_ROUTING_BY_PRIORITY);
    if (granule > 1)
      fill_up(slots, granule);
    std::copy(slots.counts.begin(), slots.counts.end(), counts);
    auto count = static_cast<int64_t>(slots.tokens.size());
    *slot_tokens = box(indices(slots.tokens, {count}).to(p.device()));
    *slot_entries = box(indices(slots.entries, {count}).to(p.device()));
    *choices = box(indices(slots.choices, {p.size(0), -1}).to(p.device()));
  });
}

ct_status ct_dispatch(ct_tensor *out, ct_tensor x, ct_tensor slot_tokens) {
  return guarded([&] {
    const auto &in = x->value, &slots = slot_tokens->value;
    TORCH_CHECK_VALUE(in.dim() == 2 && slots.scalar_type() == at::kLong, "tokens to send must be [N, D]");
    auto kernels = kernels_for(CT_OP_EXPERTS, in);
    *out = box(kernels ? kernels->dispatch(in.contiguous(), slots.contiguous())
                       : in.index_select(0, slots.clamp_min(0)) * slots.ge(0).unsqueeze(1));
  });
}

ct_status ct_collect(ct_tensor *out, ct_tensor rows, ct_tensor gates, ct_tensor slot_tokens, int64_t tokens) {
  return guarded([&] {
    const auto &in = rows->value, &slots = slot_tokens->value;
    TORCH_CHECK_VALUE(in.dim() == 2 && gates->value.numel() == in.size(0) && slots.numel() == in.size(0),
                      "every row of an expert needs a gate and a token");
    auto g = gates->value.to(accumulator_type(in.scalar_type()));
    if (auto kernels = kernels_for(CT_OP_EXPERTS, in)) {
      *out = box(kernels->collect(in.contiguous(), g.contiguous(), slots.contiguous(), tokens));
      return;
    }
    auto weighted = in.to(g.scalar_type()) * (g * slots.ge(0)).unsqueeze(1);
    auto sums = make::zeros({tokens, in.size(1)}, weighted.options()).index_add(0, slots.clamp_min(0), weighted);
    *out = box(sums.to(in.scalar_type()));
  });
}

ct_status ct_grouped_linear(ct_tensor *out, ct_tensor x, ct_tensor weight, ct_tensor bias, const int64_t *counts,
                            int32_t expert_count) {
  return guarded([&] {
    auto in = x->value, w = weight->value, b = maybe(bias);
    TORCH_CHECK_VALUE(in.dim() == 2 && w.dim() == 3 && w.size(2) == in.size(1) && w.size(0) == expert_count, "rows ",
                      in.sizes(), " do not fit the experts' matrices ", w.sizes());
    std::vector<int64_t> sizes(counts, counts + expert_count);
    TORCH_CHECK_VALUE(std::accumulate(sizes.begin(), sizes.end(), int64_t(0)) == in.size(0) &&
                          std::all_of(sizes.begin(), sizes.end(), [](int64_t n) { return n >= 0; }),
                      "the experts' rows do not add up to ", in.size(0));
    auto type = widen_operands(in, w, b);
    *out = box(grouped_linear(in.contiguous(), w.contiguous(), b, sizes).to(type));
  });
}
