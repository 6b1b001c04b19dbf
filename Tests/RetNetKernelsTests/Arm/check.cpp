// Products and recurrences with every instruction set of the processor against their definition, for processors on which
// the tests themselves do not run: ArmTests builds it and runs it under emulation.
#include "RetNetKernels/inference.h"
#include "RetNetKernels/steps.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <vector>

namespace {

uint64_t state = 88172645463325252ull;
float number() {
  state ^= state << 13, state ^= state >> 7, state ^= state << 17;
  return float(int64_t(state) >> 32) * 0x1p-30f;
}

struct Matrix {
  rn_weight_type type;
  int64_t rows, columns;
  std::vector<uint8_t> data;
  std::vector<uint16_t> scales, minima;
  std::vector<float> values;

  Matrix(rn_weight_type type, int64_t rows, int64_t columns) : type(type), rows(rows), columns(columns) {
    int64_t count = rows * columns, groups = count / RN_GROUP;
    data.resize(type == RN_F32 ? count * 4 : type == RN_I8 ? count : type == RN_I4 ? count / 2 : count * 2);
    std::vector<float> x(count);
    for (float &value : x)
      value = number();
    if (type == RN_I8 || type == RN_I4) {
      scales.resize(groups), minima.resize(groups);
      rn_quantize(nullptr, x.data(), rows, columns, type, data.data(), scales.data(), minima.data());
    } else if (type == RN_F32) {
      std::memcpy(data.data(), x.data(), count * 4);
    } else {
      for (int64_t i = 0; i < count; i++) {
        uint32_t bits;
        std::memcpy(&bits, &x[i], 4);
        _Float16 half = _Float16(x[i]);
        uint16_t narrow = uint16_t(bits >> 16);
        if (type == RN_F16)
          std::memcpy(&narrow, &half, 2);
        std::memcpy(&data[2 * i], &narrow, 2);
      }
    }
    values.resize(count);
    rn_weights view = weights();
    for (int64_t r = 0; r < rows; r++)
      rn_weight_row(&view, r, values.data() + r * columns);
  }

  rn_weights weights() const { return {data.data(), scales.data(), minima.data(), rows, columns, type}; }
};

// 150 tokens from position 37 on, in one call and in calls that end anywhere. Returns 1 for a failure.
int check_recurrence(rn_pool *pool, const char *name, rn_weight_type type) {
  const int64_t tokens = 150, position = 37, keys = 10, values = 71;
  std::vector<float> q(tokens * keys), k(tokens * keys), v(tokens * values), decays(tokens), start(keys * values);
  for (auto *numbers : {&q, &k, &v, &decays, &start})
    for (float &value : *numbers)
      value = number();
  for (float &decay : decays)
    decay = 0.9f + std::fabs(decay) / 32;
  std::vector<float> whole(keys * values), parts(keys * values), output(tokens * values), pieces(tokens * values);
  rn_narrow(pool, start.data(), type, whole.data(), keys * values);
  parts = whole;
  rn_widen(pool, whole.data(), type, start.data(), keys * values);
  rn_recurrence r{};
  r.heads = 1, r.key_size = keys, r.value_size = values, r.state_type = type;
  r.query = q.data(), r.key = k.data(), r.value = v.data(), r.decays = decays.data();
  r.query_stride = r.key_stride = keys, r.value_stride = r.output_stride = values, r.decay_stride = 1;
  r.query_share = r.key_share = r.value_share = 1, r.decay_kind = RN_HEAD_DECAY;
  std::vector<int64_t> recent(rn_recent_bytes(&r) / 8), others(recent.size());
  std::vector<char> scratch(rn_recur_scratch(pool, &r));
  rn_sequence sequence{whole.data(), recent.data(), 0, tokens, position};
  r.output = output.data();
  rn_recur(pool, &r, &sequence, 1, scratch.data());
  rn_settle(pool, &r, &sequence, 1, scratch.data());
  r.output = pieces.data();
  for (int64_t begin = 0, end; begin < tokens; begin = end) {
    end = std::min(tokens, begin + 1 + begin % 23);
    sequence = {parts.data(), others.data(), begin, end - begin, position + begin};
    rn_recur(pool, &r, &sequence, 1, scratch.data());
  }
  rn_settle(pool, &r, &sequence, 1, scratch.data());
  bool same = std::memcmp(whole.data(), parts.data(), keys * values * (type == RN_F32 ? 4 : 2)) == 0 && output == pieces;
  double error = 0, size = 0;
  std::vector<double> state(start.begin(), start.end());
  for (int64_t t = 0; t < tokens; t++)
    for (int64_t j = 0; j < values; j++) {
      double sum = 0;
      for (int64_t i = 0; i < keys; i++) {
        double &s = state[i * values + j];
        s = double(decays[t]) * s + double(k[t * keys + i]) * double(v[t * values + j]);
        sum += double(q[t * keys + i]) * s;
      }
      error += (sum - output[t * values + j]) * (sum - output[t * values + j]);
      size += sum * sum;
    }
  double relative = std::sqrt(error / size);
  bool fails = !same || !(relative < (type == RN_F32 ? 2e-6 : 1e-2));
  std::printf("%s: %s, blocks, type %d, error %.2g, pieces %s\n", fails ? "FAILED" : "passed", name, int(type), relative,
              same ? "the same" : "differ");
  return fails;
}

} // namespace

int main() {
  int failures = 0;
  for (int32_t set = 0; const char *name = rn_instruction_set_name(set); set++) {
    rn_pool *pool = rn_pool_create(2, name);
    for (rn_weight_type type : {RN_F32, RN_BF16, RN_F16, RN_I8, RN_I4})
      for (int64_t columns : {64, 544}) {
        const int64_t rows = 37, most = 19;
        Matrix matrix(type, rows, columns);
        std::vector<float> x(most * columns), alone(rows), y(most * rows);
        for (float &value : x)
          value = number();
        std::vector<char> scratch(rn_multiply_scratch(pool, columns, most));
        double worst = 0;
        bool same = true;
        for (int64_t batch : {int64_t(1), int64_t(3), int64_t(8), most}) {
          rn_product product{matrix.weights(), nullptr, y.data(), rows};
          rn_multiply(pool, &product, 1, x.data(), columns, batch, scratch.data());
          if (batch == 1)
            std::memcpy(alone.data(), y.data(), rows * 4);
          same &= std::memcmp(alone.data(), y.data(), rows * 4) == 0;
          double error = 0, size = 0;
          for (int64_t b = 0; b < batch; b++)
            for (int64_t r = 0; r < rows; r++) {
              double sum = 0;
              for (int64_t c = 0; c < columns; c++)
                sum += double(matrix.values[r * columns + c]) * double(x[b * columns + c]);
              error += (sum - y[b * rows + r]) * (sum - y[b * rows + r]);
              size += sum * sum;
            }
          worst = std::fmax(worst, std::sqrt(error / size));
        }
        // x is rounded to 8 bits for weights of 8 and 4.
        bool fails = !same || !(worst < (type == RN_I8 || type == RN_I4 ? 1e-2 : 1e-6));
        failures += fails;
        std::printf("%s: %s, type %d, %ld columns, error %.2g, rows %s\n", fails ? "FAILED" : "passed", name, int(type),
                    long(columns), worst, same ? "the same in every batch" : "depend on the batch");
      }
    for (rn_weight_type type : {RN_F32, RN_BF16, RN_F16})
      failures += check_recurrence(pool, name, type);
    rn_pool_destroy(pool);
  }
  return failures > 0;
}
