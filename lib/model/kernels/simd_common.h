// What simd_avx2.h and simd_avx512.h have in common; they include it.

namespace llm::simd::LLM_SIMD {

inline Mask first_lanes(int64_t count) {
  return count >= 16 ? Mask{0xffff} : static_cast<Mask>((1u << count) - 1);
}

/// Calls body(offset, mask) over count elements, sixteen at a time; every mask but the last is
/// full.
template <typename Body>
inline void for_each_vector(int64_t count, Body body) {
  int64_t i = 0;
  for (; i + 16 <= count; i += 16) {
    body(i, Mask{0xffff});
  }
  if (i < count) {
    body(i, first_lanes(count - i));
  }
}

inline Floats sigmoid(Floats x) {
  const Floats one = all(1.0f);
  return one / (one + exp(zero() - x));
}

}  // namespace llm::simd::LLM_SIMD
