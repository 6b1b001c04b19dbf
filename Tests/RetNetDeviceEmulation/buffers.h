// Memory of emulated kernels: elements of a type in a layout, with NaN around and between them.
#pragma once

#include "RetNetDeviceEmulation.h"

#include <RetNetDeviceKernels/rules.h>

#include <string>
#include <vector>

namespace retnet::emulation {

using device::Element;

// Numbers between -1 and 1 that look random and are the same in every run.
struct Numbers {
  uint64_t state;
  explicit Numbers(uint64_t seed) : state(seed * 0x9e3779b97f4a7c15u + 1) {}
  double next() {
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return static_cast<double>(static_cast<int64_t>(state) >> 32) * 0x1p-31;
  }
  std::vector<double> take(size_t count, double scale = 1) {
    std::vector<double> result(count);
    for (double &x : result)
      x = next() * scale;
    return result;
  }
};

double read_element(const unsigned char *at, Element type);
void write_element(unsigned char *at, Element type, double x);
// The numbers as the type has them.
std::vector<double> rounded_to(Element type, std::vector<double> x);

enum class Layout {
  heads_first,  // [B, H, T, X]
  tokens_first, // [B, T, H, X], seen as [B, H, T, X]
  unaligned,    // the same, a row a little longer, and not from an aligned address
};

// A tensor [B, H, T, X], contiguous in the order of its layout.
class Buffer {
public:
  Buffer(Element type, int64_t batch, int64_t heads, int64_t time, int64_t size, Layout layout = Layout::heads_first);
  // With values in the order [B, H, T, X].
  Buffer(Element type, int64_t batch, int64_t heads, int64_t time, int64_t size, Layout layout,
         const std::vector<double> &values);
  // A plain array of float32.
  explicit Buffer(int64_t size) : Buffer(Element::f32, 1, 1, 1, size) {}
  explicit Buffer(const std::vector<double> &values)
      : Buffer(Element::f32, 1, 1, 1, static_cast<int64_t>(values.size()), Layout::heads_first, values) {}

  void *data() { return bytes.data() + start; }
  float *floats() { return static_cast<float *>(data()); }
  device::View view() { return {data(), strides[0], strides[1], strides[2]}; }
  std::vector<double> values() const;
  // False if anything outside of the elements was written.
  bool is_intact() const;
  // A hash of the elements.
  uint64_t hash() const;

private:
  template <class Body> void each(Body body) const;
  Element type;
  int64_t shape[4], strides[3];
  size_t start;
  std::vector<unsigned char> bytes;
};

// Gathers what is found of the results of kernels.
struct Comparison {
  rde_outcome &outcome;
  std::string error; // what went wrong

  explicit Comparison(rde_outcome &outcome) : outcome(outcome) { outcome = {}; }
  void add(const char *name, const Buffer &found, const std::vector<double> &expected);
};
// Keeps an error for the caller of the C interface; null for none.
const char *kept(std::string error);

// |found - expected| / |expected|, by Euclid's norm; infinite if something is not a number.
double relative_error(const std::vector<double> &found, const std::vector<double> &expected);

} // namespace retnet::emulation
