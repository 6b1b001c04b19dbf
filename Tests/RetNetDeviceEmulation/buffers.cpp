#include "buffers.h"

#include "device.cuh"

#include <limits>

namespace retnet::emulation {

namespace {
constexpr size_t kGuard = 4096;
constexpr unsigned char kPoison = 0xff; // NaN in every element type

size_t size_of(Element type) { return static_cast<size_t>(device::element_bytes(type)); }
} // namespace

double read_element(const unsigned char *at, Element type) {
  if (type == Element::f32) {
    float x;
    std::memcpy(&x, at, 4);
    return x;
  }
  uint16_t bits;
  std::memcpy(&bits, at, 2);
  return type == Element::bf16 ? device::to_float(device::bf16{bits}) : device::to_float(device::f16{bits});
}

void write_element(unsigned char *at, Element type, double x) {
  float wide = static_cast<float>(x);
  if (type == Element::f32) {
    std::memcpy(at, &wide, 4);
  } else if (type == Element::bf16) {
    auto y = device::rounded<device::bf16>(wide);
    std::memcpy(at, &y, 2);
  } else {
    auto y = device::rounded<device::f16>(wide);
    std::memcpy(at, &y, 2);
  }
}

std::vector<double> rounded_to(Element type, std::vector<double> x) {
  unsigned char element[4];
  for (double &value : x) {
    write_element(element, type, value);
    value = read_element(element, type);
  }
  return x;
}

Buffer::Buffer(Element type, int64_t batch, int64_t heads, int64_t time, int64_t size, Layout layout)
    : type(type), shape{batch, heads, time, size} {
  int64_t row = layout == Layout::unaligned ? size + 1 : size;
  if (layout == Layout::heads_first)
    strides[0] = heads * time * row, strides[1] = time * row, strides[2] = row;
  else
    strides[0] = heads * time * row, strides[1] = row, strides[2] = heads * row;
  bytes.assign(2 * kGuard + (batch * heads * time * row + 16) * size_of(type), kPoison);
  size_t address = reinterpret_cast<uintptr_t>(bytes.data()) + kGuard;
  start = kGuard + (16 - address % 16) % 16 + (layout == Layout::unaligned ? size_of(type) : 0);
}

Buffer::Buffer(Element type, int64_t batch, int64_t heads, int64_t time, int64_t size, Layout layout,
               const std::vector<double> &values)
    : Buffer(type, batch, heads, time, size, layout) {
  size_t i = 0;
  each([&](size_t place) { write_element(bytes.data() + place, this->type, values[i++]); });
}

template <class Body> void Buffer::each(Body body) const {
  for (int64_t b = 0; b < shape[0]; b++)
    for (int64_t h = 0; h < shape[1]; h++)
      for (int64_t t = 0; t < shape[2]; t++)
        for (int64_t x = 0; x < shape[3]; x++)
          body(start + (b * strides[0] + h * strides[1] + t * strides[2] + x) * size_of(type));
}

std::vector<double> Buffer::values() const {
  std::vector<double> result;
  each([&](size_t place) { result.push_back(read_element(bytes.data() + place, type)); });
  return result;
}

bool Buffer::is_intact() const {
  auto copy = bytes;
  each([&](size_t place) { std::memset(copy.data() + place, kPoison, size_of(type)); });
  for (unsigned char byte : copy)
    if (byte != kPoison)
      return false;
  return true;
}

uint64_t Buffer::hash() const {
  uint64_t result = 14695981039346656037u;
  each([&](size_t place) {
    for (size_t i = 0; i < size_of(type); i++)
      result = (result ^ bytes[place + i]) * 1099511628211u;
  });
  return result;
}

void Comparison::add(const char *name, const Buffer &found, const std::vector<double> &expected) {
  double relative = relative_error(found.values(), expected);
  outcome.bits = outcome.bits * 31 + found.hash();
  if (std::string(name) == "d_gates") {
    outcome.gate_error = relative;
  } else if (!(relative <= outcome.worst)) {
    outcome.worst = relative;
    std::snprintf(outcome.of, sizeof outcome.of, "%s", name);
  }
  if (!found.is_intact())
    error = std::string(name) + " was written outside of its elements";
}

const char *kept(std::string error) {
  thread_local std::string message;
  message = std::move(error);
  return message.empty() ? nullptr : message.c_str();
}

double relative_error(const std::vector<double> &found, const std::vector<double> &expected) {
  double difference = 0, size = 0;
  for (size_t i = 0; i < expected.size(); i++) {
    difference += (found[i] - expected[i]) * (found[i] - expected[i]);
    size += expected[i] * expected[i];
  }
  if (found.size() != expected.size() || !std::isfinite(difference))
    return std::numeric_limits<double>::infinity();
  return size > 0 ? std::sqrt(difference / size) : std::sqrt(difference);
}

} // namespace retnet::emulation
