// Which token goes to which expert of a sparse mixture.
//
// A slot is one token at one expert. Slots lie sorted by expert, within an expert by token, so every expert sees
// one contiguous block of rows. Blocks can be filled up with empty slots, of token -1: matrix products of ever new sizes
// would have their code generated anew by oneDNN, which took two fifths of a training step.
#include "operators.h"

#include <algorithm>
#include <numeric>

namespace ctorch {
namespace {

enum Routing : int32_t { kByPosition = 0, kByPriority = 1, kByExpert = 2 };

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

Slots by_token(const double *p, int64_t tokens, int64_t experts, int64_t k, int64_t capacity, bool prioritised) {
  Slots slots;
  slots.counts.assign(experts, 0);
  slots.choices = best_experts(p, tokens, experts, k);
  std::vector<int64_t> order(tokens);
  std::iota(order.begin(), order.end(), 0);
  if (prioritised)
    std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
      return p[a * experts + slots.choices[a * k]] > p[b * experts + slots.choices[b * k]];
    });
  // All first choices are placed before any second one.
  std::vector<std::vector<int64_t>> members(experts);
  for (int64_t c = 0; c < k; c++)
    for (int64_t n : order) {
      auto &list = members[slots.choices[n * k + c]];
      if (capacity <= 0 || static_cast<int64_t>(list.size()) < capacity)
        list.push_back(n);
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
  return at::tensor(values, at::kLong).reshape(shape);
}

} // namespace
} // namespace ctorch

using namespace ctorch;

ct_status ct_route(ct_tensor *slot_tokens, ct_tensor *slot_entries, ct_tensor *choices, int64_t *counts,
                   ct_tensor probabilities, int32_t routing, int64_t k, int64_t capacity, int64_t granule) {
  return guarded([&] {
    const auto &p = probabilities->value;
    TORCH_CHECK_VALUE(p.dim() == 2 && p.size(0) > 0 && p.size(1) > 0, "routing needs probabilities [N, E], found ",
                      p.sizes());
    TORCH_CHECK_VALUE(k >= 1 && k <= p.size(1), "a token cannot go to ", k, " of ", p.size(1), " experts");
    auto wide = p.detach().to(at::kCPU, at::kDouble).contiguous();
    const double *values = wide.const_data_ptr<double>();
    auto slots = routing == kByExpert
                     ? by_expert(values, p.size(0), p.size(1), capacity)
                     : by_token(values, p.size(0), p.size(1), k, capacity, routing == kByPriority);
    if (granule > 1)
      fill_up(slots, granule);
    std::copy(slots.counts.begin(), slots.counts.end(), counts);
    auto count = static_cast<int64_t>(slots.tokens.size());
    *slot_tokens = box(indices(slots.tokens, {count}).to(p.device()));
    *slot_entries = box(indices(slots.entries, {count}).to(p.device()));
    *choices = box(indices(slots.choices, {p.size(0), -1}).to(p.device()));
  });
}
