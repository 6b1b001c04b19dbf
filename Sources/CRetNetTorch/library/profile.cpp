// The time of a training step by part, and its matrix products alone.
//
// LibTorch reports every operator and every node of the backward pass as it begins and ends. A node has the number that the
// operator saw which made it, so its time goes to the part that the operator belonged to.
#include "profile.h"

#include <ATen/record_function.h>
#include <algorithm>
#include <chrono>
#include <cstring>
#include <unordered_map>

namespace ctorch::profile {
namespace {

struct Operand {
  std::vector<int64_t> sizes, strides;
  at::ScalarType type;

  bool operator==(const Operand &other) const {
    return sizes == other.sizes && strides == other.strides && type == other.type;
  }
  at::Tensor make() const {
    int64_t last = 0;
    for (size_t i = 0; i < sizes.size(); i++)
      last += (sizes[i] - 1) * strides[i];
    // Small numbers of both signs: zeros may be faster to multiply.
    return make::empty({last + 1}, at::kFloat).uniform_(-1, 1).to(type).as_strided(sizes, strides);
  }
};

struct Product {
  Operand left, right;
  int64_t count;
  at::Tensor a, b;

  double operations() const {
    double result = 2.0 * static_cast<double>(right.sizes.back()) * static_cast<double>(count);
    for (auto size : left.sizes)
      result *= static_cast<double>(size);
    return result;
  }
};

// Tells the end of an operator that its begin entered a frame.
struct Entered : at::ObserverContext {};

using Clock = std::chrono::steady_clock;

struct Frame {
  ct_part part;
  bool is_product;
  Clock::time_point begin;
  double inside; // seconds of the frames in it
};

struct Profile {
  bool on = false;
  at::CallbackHandle handle{};
  std::vector<Frame> frames;
  double seconds[CT_PART_COUNT], product_seconds[CT_PART_COUNT];
  std::unordered_map<int64_t, ct_part> parts; // of operators by their number
  std::vector<Product> products;

  void enter(ct_part part, bool is_product) { frames.push_back({part, is_product, Clock::now(), 0}); }
  void leave() {
    if (frames.empty())
      return;
    auto frame = frames.back();
    frames.pop_back();
    double all = std::chrono::duration<double>(Clock::now() - frame.begin).count();
    (frame.is_product ? product_seconds : seconds)[frame.part] += all - frame.inside;
    if (!frames.empty())
      frames.back().inside += all;
  }
  ct_part part() const { return frames.empty() ? CT_PART_OTHER : frames.back().part; }
  void note(Operand left, Operand right, int64_t count) {
    for (auto &product : products)
      if (product.left == left && product.right == right) {
        product.count += count;
        return;
      }
    products.push_back({std::move(left), std::move(right), count, {}, {}});
  }
};

thread_local Profile shared;

// The index of the first operand of a matrix product, or -1 for other operators.
int first_operand(const char *name) {
  if (!std::strcmp(name, "aten::mm") || !std::strcmp(name, "aten::bmm"))
    return 0;
  for (auto with_sum : {"aten::addmm", "aten::addmm_", "aten::baddbmm", "aten::baddbmm_"})
    if (!std::strcmp(name, with_sum))
      return 1;
  return -1;
}

Operand operand_of(const at::Tensor &x) { return {x.sizes().vec(), x.strides().vec(), x.scalar_type()}; }

std::unique_ptr<at::ObserverContext> begin(const at::RecordFunction &function) {
  auto &profile = shared;
  if (!profile.on)
    return nullptr;
  if (function.scope() == at::RecordScope::BACKWARD_FUNCTION) {
    auto found = profile.parts.find(function.seqNr());
    profile.enter(found == profile.parts.end() ? profile.part() : found->second, false);
    return std::make_unique<Entered>();
  }
  if (function.seqNr() >= 0)
    profile.parts[function.seqNr()] = profile.part();
  int first = first_operand(function.name());
  if (first < 0)
    return nullptr;
  auto inputs = function.inputs();
  if (inputs.size() >= static_cast<size_t>(first) + 2 && inputs[first].isTensor() && inputs[first + 1].isTensor()) {
    const auto &a = inputs[first].toTensor(), &b = inputs[first + 1].toTensor();
    if (a.numel() > 0 && b.numel() > 0)
      profile.note(operand_of(a), operand_of(b), 1);
  }
  profile.enter(profile.part(), true);
  return std::make_unique<Entered>();
}

void end(const at::RecordFunction &, at::ObserverContext *context) {
  if (context)
    shared.leave();
}

} // namespace

bool is_on() { return shared.on; }
ct_part current() { return shared.part(); }

void note_products(int64_t count, int64_t batch, int64_t m, int64_t n, int64_t k, bool left, bool right,
                   at::ScalarType type) {
  if (!shared.on || count < 1)
    return;
  auto operand = [&](int64_t rows, int64_t columns, bool transposed) -> Operand {
    int64_t row = transposed ? 1 : columns, column = transposed ? rows : 1;
    return {{batch, rows, columns}, {rows * columns, row, column}, type};
  };
  shared.note(operand(m, k, left), operand(k, n, right), count);
}

} // namespace ctorch::profile

using namespace ctorch;

ct_status ct_profile_start(void) {
  return guarded([&] {
    auto &profile = profile::shared;
    TORCH_CHECK_VALUE(!profile.on, "a profile of this thread is being made already");
    profile.frames.clear();
    profile.parts.clear();
    profile.products.clear();
    std::fill_n(profile.seconds, CT_PART_COUNT, 0.0);
    std::fill_n(profile.product_seconds, CT_PART_COUNT, 0.0);
    profile.handle = at::addThreadLocalCallback(
        at::RecordFunctionCallback(profile::begin, profile::end)
            .needsInputs(true)
            .scopes({at::RecordScope::FUNCTION, at::RecordScope::BACKWARD_FUNCTION}));
    profile.on = true;
    profile.enter(CT_PART_OTHER, false);
  });
}

void ct_profile_stop(double *seconds, double *product_seconds) {
  auto &profile = profile::shared;
  if (!profile.on)
    return;
  while (!profile.frames.empty())
    profile.leave();
  profile.on = false;
  at::removeCallback(profile.handle);
  std::copy_n(profile.seconds, CT_PART_COUNT, seconds);
  std::copy_n(profile.product_seconds, CT_PART_COUNT, product_seconds);
}

bool ct_profile_is_on(void) { return profile::shared.on; }
void ct_profile_enter(ct_part part) {
  if (profile::shared.on)
    profile::shared.enter(part, false);
}
void ct_profile_leave(void) {
  if (profile::shared.on)
    profile::shared.leave();
}

ct_status ct_profile_products(double *seconds, double *operations) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    auto &profile = profile::shared;
    TORCH_CHECK_VALUE(!profile.on, "products are made alone behind the profile, not in it");
    *operations = 0;
    for (auto &product : profile.products) {
      if (!product.a.defined()) {
        product.a = product.left.make();
        product.b = product.right.make();
      }
      *operations += product.operations();
    }
    auto begin = profile::Clock::now();
    for (const auto &product : profile.products)
      for (int64_t i = 0; i < product.count; i++) {
        auto result = product.a.dim() == 2 ? product.a.mm(product.b) : product.a.bmm(product.b);
      }
    *seconds = std::chrono::duration<double>(profile::Clock::now() - begin).count();
  });
}
