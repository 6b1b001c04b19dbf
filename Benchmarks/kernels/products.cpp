// Bytes of weights per second that products take, beside the bytes per second that memory gives.
//
//   cd Sources/RetNetKernels
//   clang++ -std=c++20 -O2 -Iinclude ../../Benchmarks/kernels/products.cpp *.cpp cpu/*.cpp -o products -lpthread
//   ./products                         # all types, the shapes of retnet-200m and retnet-1.3b, 1 and 2 threads, batch 1
//   ./products 2 1,8,64 avx2           # threads, batches, instruction set
//
// Both are measured in turn, so that other programs slow both down alike; the median of the ratios says more than the
// medians themselves where the machine is not quiet. One thread is measured by the time for which it had a processor.
// Matrices are taken one after the other from memory that no cache holds, and as much is read from other memory.
#include "RetNetKernels/inference.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <vector>

namespace {

constexpr int64_t kBytes = 256 << 20;
constexpr int kRounds = 15;
const char *const kNames[] = {"float32", "bfloat16", "float16", "int8", "int4"};

double seconds(rn_pool *pool) {
  timespec time;
  clock_gettime(rn_pool_thread_count(pool) == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &time);
  return double(time.tv_sec) + 1e-9 * double(time.tv_nsec);
}

std::vector<int> numbers(const char *text) {
  std::vector<int> result;
  for (; *text; text += *text == ',')
    result.push_back(int(std::strtol(text, const_cast<char **>(&text), 10)));
  return result;
}

double median(std::vector<double> x) {
  std::sort(x.begin(), x.end());
  return x[x.size() / 2];
}

void measure(rn_pool *pool, const char *memory, rn_weight_type type, int64_t rows, int64_t columns, int64_t batch) {
  int64_t bytes = rn_weight_bytes(type, rows, columns), elements = rows * columns, groups = elements / RN_GROUP;
  // 16 MB a round, or one product of many rows.
  int64_t count = std::max<int64_t>(1, (16 << 20) / bytes / batch), place = 0;
  std::vector<float> x(batch * columns), y(batch * rows);
  for (size_t i = 0; i < x.size(); i++)
    x[i] = float(i * 2654435761u >> 20 & 2047) / 1024 - 1;
  std::vector<char> scratch(rn_multiply_scratch(pool, columns, batch));
  auto next = [&](int64_t size) {
    const char *here = memory + place;
    place += (size + 4095) / 4096 * 4096;
    if (place > kBytes)
      place = 0;
    return here;
  };
  volatile uint64_t sink = 0;
  std::vector<double> rates, reads, ratios;
  for (int round = 0; round < kRounds; round++) {
    double product_time = 0, read_time = 0;
    for (int64_t i = 0; i < count; i++) {
      const char *data = next(bytes);
      rn_weights weights{data, nullptr, nullptr, rows, columns, type};
      if (type == RN_I8 || type == RN_I4) {
        weights.scales = reinterpret_cast<const uint16_t *>(data + (type == RN_I8 ? elements : elements / 2));
        weights.minima = type == RN_I4 ? weights.scales + groups : nullptr;
      }
      rn_product product{weights, nullptr, y.data(), rows};
      double start = seconds(pool);
      rn_multiply(pool, &product, 1, x.data(), columns, batch, scratch.data());
      product_time += seconds(pool) - start;
      data = next(bytes);
      start = seconds(pool);
      sink = sink + rn_read(pool, data, bytes);
      read_time += seconds(pool) - start;
    }
    rates.push_back(double(count * bytes) / product_time), reads.push_back(double(count * bytes) / read_time);
    ratios.push_back(read_time / product_time);
  }
  std::printf("%-10s %d threads  %-8s [%5ld, %5ld]  batch %3ld  %6.2f GB/s of %6.2f read, ratio %.2f  %7.2f GMAC/s\n",
              rn_pool_instruction_set(pool), rn_pool_thread_count(pool), kNames[type], long(rows), long(columns),
              long(batch), median(rates) / 1e9, median(reads) / 1e9, median(ratios),
              median(rates) / double(bytes) * double(elements * batch) / 1e9);
}

} // namespace

int main(int count, char **arguments) {
  std::vector<int> threads = numbers(count > 1 ? arguments[1] : "1,2"), batches = numbers(count > 2 ? arguments[2] : "1");
  auto *memory = static_cast<char *>(std::malloc(kBytes + (64 << 20)));
  // Bits that are small numbers in every type.
  for (int64_t i = 0; i < (kBytes + (64 << 20)) / 2; i++)
    reinterpret_cast<uint16_t *>(memory)[i] = uint16_t(0x2c00 + (i * 40503u >> 7 & 0x3ff));
  for (int thread_count : threads) {
    rn_pool *pool = rn_pool_create(thread_count, count > 3 ? arguments[3] : nullptr);
    if (!pool) {
      std::fprintf(stderr, "this processor has no '%s'\n", arguments[3]);
      return 1;
    }
    for (int batch : batches)
      for (auto [rows, columns] : {std::pair<int64_t, int64_t>(2048, 1024), {1024, 2048}, {4096, 2048}, {2048, 4096}})
        for (rn_weight_type type : {RN_F32, RN_BF16, RN_F16, RN_I8, RN_I4})
          measure(pool, memory, type, rows, columns, batch);
    rn_pool_destroy(pool);
  }
  std::free(memory);
}
