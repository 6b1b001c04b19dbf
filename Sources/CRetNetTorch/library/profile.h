// Parts of a step for the profile of `retnet bench train`; costs a test of a flag where no time is taken.
#pragma once

#include "aten.h"

namespace ctorch::profile {

bool is_on();
// The part that the calling thread is in.
ct_part current();

// What happens while a scope lives belongs to its part.
struct Scope {
  explicit Scope(ct_part part) : active(is_on()) {
    if (active)
      ct_profile_enter(part);
  }
  ~Scope() {
    if (active)
      ct_profile_leave();
  }
  Scope(const Scope &) = delete;
  Scope &operator=(const Scope &) = delete;

private:
  bool active;
};

// Notes `count` products [batch, m, k] [batch, k, n] that a kernel makes in place of LibTorch; `left` and `right` are true
// for operands that lie transposed.
void note_products(int64_t count, int64_t batch, int64_t m, int64_t n, int64_t k, bool left, bool right,
                   at::ScalarType type);

} // namespace ctorch::profile
