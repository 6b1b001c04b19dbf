// Scans over time with a matrix as state: retention, gated retention and simple GLA, and their gradients.
//
// Retentive Network (arXiv 2307.08621), section 2.3, in chunks. With `between`, `until` and `after` the products of decays
// between two tokens, from the chunk's start up to and with a token, and after a token up to the chunk's end, and R the state
// entering the chunk:
//
//   P_rs = (query_r . key_s) between(r, s), s <= r      out_r = until(r) query_r R + sum_s P_rs value_s
//   R' = until(last) R + sum_s after(s) key_s^T value_s
//
// The gradients are scans too (ops/retention.cpp has the equations): dq is the forward scan of (d_out, value, key), dv the
// reverse one of (key, query, d_out) and dk that of (value, d_out, query), so no sum has more than one writer, and equal
// arguments give equal bits.
//
// A block of threads takes one head and kTile values, and walks over the chunks of a segment. A warp keeps the state
// of 16 values (and half of the keys, where there are more than 256) transposed in its registers, as the sums of
// products with the values as rows; as columns of query R they are fragments already. Only rows of tokens pass through
// shared memory, loaded a chunk ahead where there is room for two.
#pragma once

#include "mma.cuh"

namespace retnet::device {

// Copies a tile of kColumns columns of a chunk to shared memory, zero beyond `length` rows and `columns` columns.
template <class T, int kRows, int kColumns, int kThreads>
DEVICE void load_tile(T *tile, const T *rows, int64_t stride, int length, int columns, bool aligned) {
  constexpr int kStride = padded(kColumns, sizeof(T));
  if (aligned) {
    constexpr int kUnit = 16 / sizeof(T), kUnits = kColumns / kUnit;
    KEEP_LOOP for (int i = thread_index(); i < kRows * kUnits; i += kThreads) {
      int row = i / kUnits, column = i % kUnits * kUnit;
      int valid = row < length ? columns - column : 0;
      valid = valid < 0 ? 0 : valid > kUnit ? kUnit : valid;
      const T *from = valid > 0 ? rows + row * stride + column : rows;
      copy_async(tile + row * kStride + column, from, valid * static_cast<int>(sizeof(T)));
    }
  } else {
    KEEP_LOOP for (int i = thread_index(); i < kRows * kColumns; i += kThreads) {
      int row = i / kColumns, column = i % kColumns;
      tile[row * kStride + column] =
          row < length && column < columns ? rows[row * stride + column] : rounded<T>(0.0f);
    }
  }
}

// Products of decays within a chunk.
template <bool kIsGated> struct Decays {
  float log2_gamma;
  int length;
  // Sums of log2 of the gates up to and with each token, as high + low: long chunks of closed gates leave the precision
  // of one float.
  const float *high, *low;

  DEVICE float between(int later, int earlier) const {
    if (kIsGated)
      return power_of_two(high[later] - high[earlier] + (low[later] - low[earlier]));
    return power_of_two(static_cast<float>(later - earlier) * log2_gamma);
  }
  DEVICE float until(int token) const {
    if (kIsGated)
      return power_of_two(high[token] + low[token]);
    return power_of_two(static_cast<float>(token + 1) * log2_gamma);
  }
  DEVICE float after(int token) const {
    if (kIsGated)
      return between(length - 1, token);
    return power_of_two(static_cast<float>(length - 1 - token) * log2_gamma);
  }
};

template <class T, int kKeys, int kTile, int kChunk, int kStages, int kKind> struct Scan {
  using Arguments = ScanArguments;
  static constexpr int threads = scan_threads(kKeys, kTile);
  static constexpr int min_blocks = 1;
  static constexpr int shared_bytes = scan_shared_bytes(sizeof(T), kKeys, kTile, kChunk, kStages, kKind);

  static constexpr bool kIsReverse = kKind & kReverse, kIsGated = kKind & kGated, kHasOutput = !(kKind & kStates);
  static constexpr int kSplits = scan_splits(kKeys), kPart = kKeys / kSplits, kSlabs = kTile / 16;
  static constexpr int kWarps = kSlabs * kSplits, kBlocks = kChunk / 16;
  static constexpr int kKeyStride = padded(kKeys, sizeof(T)), kValueStride = padded(kTile, sizeof(T));
  static constexpr int kScoreStride = padded(kChunk, sizeof(T));
  static constexpr int kStageBytes = scan_stage_bytes(sizeof(T), kKeys, kTile, kChunk, kKind);
  static_assert(kKeys % (16 * kSplits) == 0 && kPart <= 256 && kTile % 16 == 0 && kChunk % 16 == 0 && threads <= 512);

  // What a block works on.
  struct Place {
    int head_row, head, batch, first_value, segment, begin, end, chunks; // head_row = batch heads + head
    const T *query, *key, *value;
    const float *gates;
  };
  struct Stage {
    T *key, *value, *query;
    float *high, *low;
  };

  static DEVICE const T *rows(const Rows &rows, const Place &p) {
    return static_cast<const T *>(rows.data) + p.batch * rows.batch + p.head / rows.share * rows.head;
  }

  static DEVICE Stage stage(int index) {
    char *base = shared_memory() + index * kStageBytes;
    Stage s;
    s.key = reinterpret_cast<T *>(base);
    s.value = s.key + kChunk * kKeyStride;
    s.query = s.value + kChunk * kValueStride;
    s.high = reinterpret_cast<float *>(shared_memory() + shared_bytes) - (index + 1) * 2 * kChunk;
    s.low = s.high + kChunk;
    return s;
  }
  static DEVICE T *scores() { return reinterpret_cast<T *>(shared_memory() + kStages * kStageBytes); }
  // Outputs [4 kBlocks 2][lanes] of the warps with the second half of the keys.
  static DEVICE float *shared_outputs(int slab) {
    return reinterpret_cast<float *>(scores() + kChunk * kScoreStride) + slab * kChunk * 16;
  }

  // The c-th chunk in the order of the scan.
  static DEVICE int chunk_start(const Place &p, int c) {
    return p.begin + (kIsReverse ? p.chunks - 1 - c : c) * kChunk;
  }
  static DEVICE int chunk_length(const Place &p, int start) {
    return p.end - start < kChunk ? p.end - start : kChunk;
  }

  static DEVICE void load(const ScanArguments &a, const Place &p, int c) {
    if (c < p.chunks) {
      int start = chunk_start(p, c), length = chunk_length(p, start);
      Stage s = stage(c % kStages);
      load_tile<T, kChunk, kKeys, threads>(s.key, p.key + start * a.key.time, a.key.time, length, a.key_size,
                                           a.key.aligned);
      load_tile<T, kChunk, kTile, threads>(s.value, p.value + start * a.value.time + p.first_value, a.value.time, length,
                                           a.value_size - p.first_value, a.value.aligned);
      if (kHasOutput)
        load_tile<T, kChunk, kKeys, threads>(s.query, p.query + start * a.query.time, a.query.time, length, a.key_size,
                                             a.query.aligned);
      if (kIsGated && warp_index() == 0)
        sum_gates(p.gates + start, length, s);
    }
    end_copies();
  }

  // Sums of log2 of the gates of a chunk, by one warp; beyond `length` the sum of all.
  static DEVICE void sum_gates(const float *gates, int length, const Stage &s) {
    double sum = 0;
    for (int first = 0; first < kChunk; first += 32) {
      int token = first + lane_index();
      // A gate of e^-1000 forgets everything, and infinite logarithms would leave none of the sum.
      float log = token < length ? gates[token] : 0.0f;
      double x = (log < -1000.0f ? -1000.0f : log) * 1.4426950408889634;
      for (int distance = 1; distance < 32; distance *= 2) {
        double other = shuffle_up(x, distance);
        if (lane_index() >= distance)
          x += other;
      }
      x += sum;
      if (token < kChunk) {
        s.high[token] = static_cast<float>(x);
        s.low[token] = static_cast<float>(x - s.high[token]);
      }
      sum = warp_sum(lane_index() == 31 ? x : 0.0);
    }
  }

  // Calls body(j, e, place) for the elements of a lane that exist, with their places in the state of this head.
  template <class Body> static DEVICE void each_element(const ScanArguments &a, const Place &p, Body body) {
    int warp = warp_index(), slab = warp % kSlabs, split = warp / kSlabs, g = lane_index() / 4, t = lane_index() % 4;
    int key = split * kPart + 2 * t, value = p.first_value + slab * 16 + g;
    int64_t place = p.head_row * (static_cast<int64_t>(a.key_size) * a.value_size) + key * a.state_key +
                    value * a.state_value;
    int64_t key_step = 8 * a.state_key, value_step = 8 * a.state_value;
    UNROLL for (int j = 0; j < kPart / 8; j++) {
      UNROLL for (int e = 0; e < 4; e++)
        if (key + (e & 1) < a.key_size && value + (e >> 1) * 8 < a.value_size)
          body(j, e, place + (e & 1 ? a.state_key : 0) + (e >> 1 ? value_step : 0));
      key += 8, place += key_step;
    }
  }

  // The products P of a chunk, in shared memory.
  static DEVICE void score(const Stage &s, const Decays<kIsGated> &decays, int length) {
    int g = lane_index() / 4, t = lane_index() % 4;
    KEEP_LOOP for (int i = warp_index(); i < kBlocks * (kBlocks + 1) / 2; i += kWarps) {
      // The i-th block of 16 by 16 of those that reach any token.
      int later = 0, earlier = i;
      while (earlier > later)
        earlier -= ++later;
      int row = kIsReverse ? earlier : later, column = kIsReverse ? later : earlier;
      // Even and odd steps have sums of their own: a product waits for the one before it in the same sum.
      float sums[2][2][4] = {};
      UNROLL_BY_2 for (int pair = 0; pair < kKeys / 16; pair += 2)
        UNROLL for (int e = 0; e < 2; e++) {
          int k = pair + e;
          if (k >= kKeys / 16)
            continue;
          RowFragment<T> x;
          ColumnFragment<T> y[2];
          load_rows(x, s.query + row * 16 * kKeyStride + k * 16, kKeyStride);
          load_columns(y, s.key + column * 16 * kKeyStride + k * 16, kKeyStride);
          multiply(sums[e][0], x, y[0]);
          multiply(sums[e][1], x, y[1]);
        }
      UNROLL for (int n = 0; n < 2; n++)
        UNROLL for (int half = 0; half < 2; half++) {
          int r = row * 16 + g + half * 8, c = column * 16 + n * 8 + 2 * t;
          float pair[2];
          UNROLL for (int e = 0; e < 2; e++) {
            int last = kIsReverse ? c + e : r, first = kIsReverse ? r : c + e;
            // By a select: no product with a power may let later tokens through.
            float sum = sums[0][n][2 * half + e] + sums[1][n][2 * half + e];
            pair[e] = first <= last && last < length ? sum * decays.between(last, first) : 0.0f;
          }
          store_pair(scores() + r * kScoreStride + c, pair[0], pair[1]);
        }
    }
  }

  using Outputs = float[kBlocks][2][4];
  using State = float[kPart / 8][4];

  // until(r) query_r R by this warp's keys.
  static DEVICE void read_state(const Stage &s, const Decays<kIsGated> &decays, const State &state, Outputs &outputs) {
    int split = warp_index() / kSlabs, g = lane_index() / 4;
    UNROLL for (int k = 0; k < kPart / 16; k++) {
      ColumnFragment<T> y[2];
      set_columns(y[0], state[2 * k][0], state[2 * k][1], state[2 * k + 1][0], state[2 * k + 1][1]);
      set_columns(y[1], state[2 * k][2], state[2 * k][3], state[2 * k + 1][2], state[2 * k + 1][3]);
      UNROLL for (int m = 0; m < kBlocks; m++) {
        RowFragment<T> x;
        load_rows(x, s.query + m * 16 * kKeyStride + split * kPart + k * 16, kKeyStride);
        multiply(outputs[m][0], x, y[0]);
        multiply(outputs[m][1], x, y[1]);
      }
    }
    UNROLL for (int m = 0; m < kBlocks; m++)
      UNROLL for (int half = 0; half < 2; half++) {
        int r = m * 16 + g + half * 8;
        float factor = kIsReverse ? decays.after(r) : decays.until(r);
        UNROLL for (int n = 0; n < 2; n++)
          UNROLL for (int e = 0; e < 2; e++) outputs[m][n][2 * half + e] *= factor;
      }
  }

  // sum_s P_rs value_s; with split keys each half of the warps takes every second block of tokens.
  static DEVICE void read_chunk(const Stage &s, Outputs &outputs) {
    int slab = warp_index() % kSlabs, split = warp_index() / kSlabs;
    KEEP_LOOP for (int k = 0; k < kBlocks; k++) {
      if (k % kSplits != split)
        continue;
      ColumnFragment<T> y[2];
      load_columns_transposed(y, s.value + k * 16 * kValueStride + slab * 16, kValueStride);
      UNROLL for (int m = 0; m < kBlocks; m++) {
        if (kIsReverse ? m > k : m < k)
          continue;
        RowFragment<T> x;
        load_rows(x, scores() + m * 16 * kScoreStride + k * 16, kScoreStride);
        multiply(outputs[m][0], x, y[0]);
        multiply(outputs[m][1], x, y[1]);
      }
    }
  }

  // Adds the other half of the keys to the outputs of the warps with the first.
  static DEVICE void join_outputs(Outputs &outputs) {
    int slab = warp_index() % kSlabs, split = warp_index() / kSlabs;
    float *shared = shared_outputs(slab) + lane_index();
    if (split > 0)
      UNROLL for (int i = 0; i < kBlocks * 8; i++) shared[i * 32] = outputs[i / 8][i / 4 % 2][i % 4];
    barrier();
    if (split == 0)
      UNROLL for (int i = 0; i < kBlocks * 8; i++) outputs[i / 8][i / 4 % 2][i % 4] += shared[i * 32];
  }

  static DEVICE void store(const ScanArguments &a, const Place &p, int start, int length, const Outputs &outputs) {
    int slab = warp_index() % kSlabs, g = lane_index() / 4, t = lane_index() % 4;
    int first = p.first_value + slab * 16;
    T *out = const_cast<T *>(rows(a.out, p));
    UNROLL for (int m = 0; m < kBlocks; m++)
      UNROLL for (int half = 0; half < 2; half++) {
        int r = m * 16 + g + half * 8;
        float dot = 0;
        UNROLL for (int n = 0; n < 2; n++) {
          int column = first + n * 8 + 2 * t;
          const float *pair = outputs[m][n] + 2 * half;
          if (r < length) {
            T *to = out + (start + r) * a.out.time + column;
            if (a.out.aligned && column + 1 < a.value_size) {
              store_pair(to, pair[0], pair[1]);
            } else {
              if (column < a.value_size)
                round_to(pair[0], to[0]);
              if (column + 1 < a.value_size)
                round_to(pair[1], to[1]);
            }
            if (kIsGated && a.dots) {
              const T *with = rows(a.with, p) + (start + r) * a.with.time + column;
              UNROLL for (int e = 0; e < 2; e++)
                if (column + e < a.value_size)
                  dot = fused(pair[e], to_float(with[e]), dot);
            }
          }
        }
        if (kIsGated && a.dots) {
          dot += shuffle_xor(dot, 1);
          dot += shuffle_xor(dot, 2);
          if (t == 0 && r < length && first < a.value_size)
            a.dots[(static_cast<int64_t>(first / 16) * a.batch * a.heads + p.head_row) * a.time + start + r] = dot;
        }
      }
  }

  // R' of the next chunk.
  static DEVICE void carry(const Stage &s, const Decays<kIsGated> &decays, int length, State &state) {
    int slab = warp_index() % kSlabs, split = warp_index() / kSlabs;
    float whole = decays.until(length - 1);
    UNROLL for (int j = 0; j < kPart / 8; j++)
      UNROLL for (int e = 0; e < 4; e++) state[j][e] *= whole;
    KEEP_LOOP for (int k = 0; k < kBlocks; k++) {
      RowFragment<T> x;
      load_rows_transposed(x, s.value + k * 16 * kValueStride + slab * 16, kValueStride);
      float factors[4];
      UNROLL for (int i = 0; i < 4; i++) {
        int token = k * 16 + term(i);
        // Rows beyond the length are zero, but their powers need not be finite.
        float factor = kIsReverse ? decays.until(token) : decays.after(token);
        factors[i] = token < length ? factor : 0.0f;
      }
      scale_terms(x, factors);
      UNROLL for (int j = 0; j < kPart / 16; j++) {
        ColumnFragment<T> y[2];
        load_columns_transposed(y, s.key + k * 16 * kKeyStride + split * kPart + j * 16, kKeyStride);
        multiply(state[2 * j], x, y[0]);
        multiply(state[2 * j + 1], x, y[1]);
      }
    }
  }

  static DEVICE void run(const ScanArguments &a) {
    Place p;
    p.first_value = block_index(0) * kTile;
    p.head_row = block_index(1);
    p.segment = block_index(2);
    p.head = p.head_row % a.heads;
    p.batch = p.head_row / a.heads;
    p.begin = p.segment * a.segment_length;
    p.end = a.time - p.begin < a.segment_length ? a.time : p.begin + a.segment_length;
    p.chunks = (p.end - p.begin + kChunk - 1) / kChunk;
    p.key = rows(a.key, p);
    p.value = rows(a.value, p);
    if (kHasOutput)
      p.query = rows(a.query, p);
    if (kIsGated)
      p.gates = a.log_gates + static_cast<int64_t>(p.head_row) * a.time;
    bool is_last = p.segment == (kIsReverse ? 0 : a.segments - 1);
    bool keeps = a.state_out && (!kHasOutput || is_last);

    State state = {};
    if (a.state_in) {
      const float *from = a.state_in + p.segment * a.segment_stride;
      each_element(a, p, [&](int j, int e, int64_t place) { state[j][e] = from[place]; });
    }
    bool is_empty = !a.state_in;
    double log_sum = 0;

    KEEP_LOOP for (int c = 0; c + 1 < kStages; c++) load(a, p, c);
    KEEP_LOOP for (int c = 0; c < p.chunks; c++) {
      int start = chunk_start(p, c), length = chunk_length(p, start);
      if (kStages > 1)
        wait_for_copies<(kStages > 1 ? kStages - 2 : 0)>();
      // Chunk c is there for all, and the one before it, whose place is filled next, is done with.
      barrier();
      load(a, p, c + kStages - 1);
      if (kStages == 1) {
        wait_for_copies<0>();
        barrier();
      }
      Stage s = stage(c % kStages);
      Decays<kIsGated> decays{a.log2_gammas[p.head], length, s.high, s.low};
      if (kHasOutput) {
        Outputs outputs = {};
        score(s, decays, length);
        if (!is_empty)
          read_state(s, decays, state, outputs);
        barrier();
        read_chunk(s, outputs);
        if (kSplits > 1)
          join_outputs(outputs);
        if (warp_index() < kSlabs)
          store(a, p, start, length, outputs);
      } else if (kIsGated) {
        log_sum += static_cast<double>(s.high[length - 1]) + s.low[length - 1];
      }
      if (keeps || c + 1 < p.chunks)
        carry(s, decays, length, state);
      is_empty = false;
    }
    if (!kHasOutput && kIsGated && thread_index() == 0 && block_index(0) == 0)
      a.segment_logs[static_cast<int64_t>(p.segment) * a.batch * a.heads + p.head_row] =
          static_cast<float>(log_sum * 0.6931471805599453);
    if (keeps) {
      float *to = a.state_out + (kHasOutput ? 0 : p.segment * a.segment_stride);
      each_element(a, p, [&](int j, int e, int64_t place) { to[place] = state[j][e]; });
    }
  }
};

} // namespace retnet::device
