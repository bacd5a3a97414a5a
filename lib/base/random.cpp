#include "base/random.h"

#include <sys/random.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <cmath>

#include "base/error.h"

namespace llm {
namespace {

/// Two uniforms to one normal; the first is moved off zero, where the logarithm would be infinite.
double box_muller(uint64_t first, uint64_t second) {
  const double radius = std::sqrt(-2.0 * std::log(1.0 - unit_double(first)));
  return radius * std::cos(6.283185307179586476925 * unit_double(second));
}

}  // namespace

double CounterRandom::normal(uint64_t counter) const {
  const uint64_t first = bits(counter);
  return box_muller(first, mix64(first ^ key_));
}

Random::Random(uint64_t seed) {
  for (uint64_t& word : state_) {
    word = mix64(seed);
    seed += 0x9E3779B97F4A7C15ull;
  }
}

uint64_t Random::bits() {
  const uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
  const uint64_t shifted = state_[1] << 17;
  state_[2] ^= state_[0];
  state_[3] ^= state_[1];
  state_[1] ^= state_[2];
  state_[0] ^= state_[3];
  state_[2] ^= shifted;
  state_[3] = std::rotl(state_[3], 45);
  return result;
}

double Random::normal() {
  const uint64_t first = bits();
  return box_muller(first, bits());
}

uint64_t Random::below(uint64_t bound) {
  check(bound > 0, "random: the bound must be positive");
  // Lemire's multiplication method: the low half tells when a draw falls in the uneven rest.
  unsigned __int128 product = static_cast<unsigned __int128>(bits()) * bound;
  if (static_cast<uint64_t>(product) < bound) {
    const uint64_t uneven = (0 - bound) % bound;
    while (static_cast<uint64_t>(product) < uneven) {
      product = static_cast<unsigned __int128>(bits()) * bound;
    }
  }
  return static_cast<uint64_t>(product >> 64);
}

Permutation::Permutation(uint64_t size, uint64_t key) : size_(size) {
  check(size > 0 && size <= uint64_t{1} << 62, "permutation: size must be from 1 to 2^62, got {}",
        size);
  const int bits = std::max(2, static_cast<int>(std::bit_width(size - 1)));
  half_bits_ = (bits + 1) / 2;
  for (uint64_t& round_key : round_keys_) {
    key = mix64(key);
    round_key = key;
  }
}

uint64_t Permutation::operator()(uint64_t index) const {
  check(index < size_, "permutation: index {} is not below {}", index, size_);
  const uint64_t mask = (uint64_t{1} << half_bits_) - 1;
  do {
    uint64_t left = index >> half_bits_;
    uint64_t right = index & mask;
    for (const uint64_t round_key : round_keys_) {
      const uint64_t mixed = left ^ (mix64(right ^ round_key) & mask);
      left = right;
      right = mixed;
    }
    index = left << half_bits_ | right;
  } while (index >= size_);
  return index;
}

uint64_t fresh_seed() {
  uint64_t seed = 0;
  if (getrandom(&seed, sizeof seed, 0) != static_cast<ssize_t>(sizeof seed)) {
    seed =
        mix64(static_cast<uint64_t>(std::chrono::system_clock::now().time_since_epoch().count()));
  }
  return seed >> 11;
}

}  // namespace llm
