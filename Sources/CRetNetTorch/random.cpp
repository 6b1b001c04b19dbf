// Generators whose state can be saved, and the draws made from them.
#include "support.h"

#include <ATen/CPUGeneratorImpl.h>

using namespace ctorch;

ct_status ct_generator_new(ct_generator *out, uint64_t seed, int32_t device, int32_t index) {
  return guarded([&] {
    at::Generator generator;
    if (device == CT_CPU) {
      generator = at::detail::createCPUGenerator(seed);
    } else {
      generator = at::globalContext().defaultGenerator(device_of(device, index)).clone();
      generator.set_current_seed(seed);
    }
    *out = new ct_generator_box{generator};
  });
}

void ct_generator_free(ct_generator g) { delete g; }

ct_status ct_generator_state(ct_tensor *out, ct_generator g) {
  return guarded([&] { *out = box(g->value.get_state()); });
}
ct_status ct_generator_set_state(ct_generator g, ct_tensor state) {
  return guarded([&] { g->value.set_state(state->value); });
}
ct_status ct_normal(ct_tensor t, double mean, double std, ct_generator g) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    t->value.normal_(mean, std, g->value);
  });
}
ct_status ct_uniform(ct_tensor t, double low, double high, ct_generator g) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    t->value.uniform_(low, high, g->value);
  });
}
ct_status ct_bernoulli(ct_tensor t, double probability, ct_generator g) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    t->value.bernoulli_(probability, g->value);
  });
}
ct_status ct_multinomial(ct_tensor *out, ct_tensor probabilities, ct_generator g) {
  return guarded([&] {
    *out = box(at::multinomial(probabilities->value, 1, /*replacement=*/true, g->value).squeeze(-1));
  });
}
