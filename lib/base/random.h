// Random numbers that are the same on every machine.
//
// Two kinds. `CounterRandom` is a pure function of (key, counter): the n-th number needs no state,
// so dropout masks, shuffles and workers agree whatever the order of the calls. `Random` is a small
// generator with a state of four words that can be saved and restored: one per request or run. No
// global generator exists.
#pragma once

#include <array>
#include <cstdint>

namespace llm {

/// A bijection of 64-bit words in which every input bit reaches every output bit (the finaliser of
/// SplitMix64).
constexpr uint64_t mix64(uint64_t x) {
  x += 0x9E3779B97F4A7C15ull;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ull;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBull;
  return x ^ (x >> 31);
}

/// A key for a sub-stream: combine_keys(seed, step, layer).
constexpr uint64_t combine_keys(uint64_t key) { return mix64(key); }
template <typename... Rest>
constexpr uint64_t combine_keys(uint64_t key, uint64_t next, Rest... rest) {
  return combine_keys(mix64(key) ^ (next * 0xD6E8FEB86659FD93ull + 0x2545F4914F6CDD1Dull),
                      static_cast<uint64_t>(rest)...);
}

/// 53 random bits as a double in [0, 1).
constexpr double unit_double(uint64_t bits) { return static_cast<double>(bits >> 11) * 0x1.0p-53; }
/// 24 random bits as a float in [0, 1).
constexpr float unit_float(uint64_t bits) { return static_cast<float>(bits >> 40) * 0x1.0p-24f; }

class CounterRandom {
 public:
  constexpr explicit CounterRandom(uint64_t key) : key_(mix64(key)) {}
  constexpr uint64_t bits(uint64_t counter) const { return mix64(mix64(counter ^ key_) + key_); }
  constexpr double uniform(uint64_t counter) const { return unit_double(bits(counter)); }
  /// Standard normal (Box-Muller on two words of the same counter).
  double normal(uint64_t counter) const;

 private:
  uint64_t key_;
};

/// xoshiro256** (Blackman and Vigna), seeded by SplitMix64. Not thread-safe.
class Random {
 public:
  using State = std::array<uint64_t, 4>;
  explicit Random(uint64_t seed);
  uint64_t bits();
  double uniform() { return unit_double(bits()); }  // [0, 1)
  double normal();
  /// Uniform on [0, bound) without bias; bound > 0.
  uint64_t below(uint64_t bound);
  State state() const { return state_; }
  void set_state(const State& state) { state_ = state; }

 private:
  State state_;
};

/// A pseudo-random bijection of 0..size-1 onto itself, computed index by index without a table: a
/// Feistel network over the next even number of bits, walked until the value falls inside. O(1)
/// expected per call, const, thread-safe.
class Permutation {
 public:
  Permutation(uint64_t size, uint64_t key);
  uint64_t size() const { return size_; }
  uint64_t operator()(uint64_t index) const;

 private:
  uint64_t size_;
  int half_bits_;
  std::array<uint64_t, 6> round_keys_;
};

/// A seed from the operating system, in 0..2^53-1 so that it survives JSON; for `--seed -1`, always
/// printed by the caller.
uint64_t fresh_seed();

}  // namespace llm
