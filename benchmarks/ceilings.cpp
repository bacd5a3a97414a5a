// What this machine can do at the moment: the ceilings that a benchmark's figures are set against.
// Speeds of virtual machines change within minutes, so the comparing scripts run a round of this
// beside every round of what they measure.
//
//   fp32   fused multiply-adds on registers only, 2 FLOP per lane, GFLOP/s over all threads
//   bf16   the AVX-512 dot product of bf16 pairs (vdpbf16ps), 4 FLOP per fp32 lane; 0 where the CPU
//   has none read   a sum over memory far larger than the caches, each thread its own slice on huge
//   pages, GB/s
//
// usage: ceilings [--threads N] [--read-mib N] [--rounds N]    prints one JSON object per round
//        ceilings --on-request                                 ... per line "go" on stdin, until
//        stdin ends
#include <immintrin.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;
constexpr int kChains =
    12;  // independent accumulators: more than latency times issue width of any current core
std::atomic<float> sink;  // keeps results alive

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Runs work(thread) on every thread at the same moment; seconds until the last one is done.
double run_together(int threads, const std::function<void(int)>& work) {
  std::atomic<int> waiting = 0;
  std::atomic<bool> go = false;
  std::vector<std::thread> team;
  for (int t = 0; t < threads; ++t) {
    team.emplace_back([&, t] {
      ++waiting;
      while (!go.load(std::memory_order_acquire)) _mm_pause();
      work(t);
    });
  }
  while (waiting < threads) _mm_pause();
  const auto start = Clock::now();
  go.store(true, std::memory_order_release);
  for (auto& thread : team) thread.join();
  return seconds_since(start);
}

__attribute__((target("avx512f"))) float fma_avx512(int64_t iterations) {
  __m512 sums[kChains];
  for (int i = 0; i < kChains; ++i) sums[i] = _mm512_set1_ps(static_cast<float>(i));
  __m512 x = _mm512_set1_ps(0.9999f), y = _mm512_set1_ps(0.5f);
  for (int64_t n = 0; n < iterations; ++n) {
#pragma GCC unroll 12
    for (int i = 0; i < kChains; ++i) sums[i] = _mm512_fmadd_ps(sums[i], x, y);
    asm volatile("" : "+v"(x), "+v"(y));
  }
  for (int i = 1; i < kChains; ++i) sums[0] = _mm512_add_ps(sums[0], sums[i]);
  return _mm512_cvtss_f32(sums[0]);
}

__attribute__((target("avx2,fma"))) float fma_avx2(int64_t iterations) {
  __m256 sums[kChains];
  for (int i = 0; i < kChains; ++i) sums[i] = _mm256_set1_ps(static_cast<float>(i));
  __m256 x = _mm256_set1_ps(0.9999f), y = _mm256_set1_ps(0.5f);
  for (int64_t n = 0; n < iterations; ++n) {
#pragma GCC unroll 12
    for (int i = 0; i < kChains; ++i) sums[i] = _mm256_fmadd_ps(sums[i], x, y);
    asm volatile("" : "+x"(x), "+x"(y));
  }
  for (int i = 1; i < kChains; ++i) sums[0] = _mm256_add_ps(sums[0], sums[i]);
  return _mm256_cvtss_f32(sums[0]);
}

__attribute__((target("avx512f,avx512bf16"))) float dot_bf16(int64_t iterations) {
  __m512 sums[kChains];
  for (int i = 0; i < kChains; ++i) sums[i] = _mm512_set1_ps(static_cast<float>(i));
  __m512i a = _mm512_set1_epi16(0x3c00), b = _mm512_set1_epi16(0x3c80);
  for (int64_t n = 0; n < iterations; ++n) {
#pragma GCC unroll 12
    for (int i = 0; i < kChains; ++i) sums[i] = _mm512_dpbf16_ps(sums[i], (__m512bh)a, (__m512bh)b);
    asm volatile("" : "+v"(a), "+v"(b));
  }
  for (int i = 1; i < kChains; ++i) sums[0] = _mm512_add_ps(sums[0], sums[i]);
  return _mm512_cvtss_f32(sums[0]);
}

__attribute__((target("avx2"))) int64_t sum_bytes(const char* begin, size_t bytes) {
  __m256i sums[4] = {};
  for (size_t at = 0; at < bytes; at += 128) {
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      sums[i] = _mm256_add_epi64(
          sums[i], _mm256_load_si256(reinterpret_cast<const __m256i*>(begin + at + 32 * i)));
    }
  }
  const __m256i sum =
      _mm256_add_epi64(_mm256_add_epi64(sums[0], sums[1]), _mm256_add_epi64(sums[2], sums[3]));
  return _mm256_extract_epi64(sum, 0) + _mm256_extract_epi64(sum, 2);
}

// Each thread's own slice, written once by the same thread so that its pages lie near it.
class Memory {
 public:
  Memory(int threads, size_t bytes_per_thread) : slices_(threads), bytes_(bytes_per_thread) {
    run_together(threads, [&](int t) {
      void* slice =
          mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      if (slice == MAP_FAILED) {
        std::perror("ceilings: mmap");
        std::exit(4);
      }
      madvise(slice, bytes_, MADV_HUGEPAGE);
      std::fill_n(static_cast<char*>(slice), bytes_, 1);
      slices_[t] = static_cast<char*>(slice);
    });
  }
  double read_gb_s() {
    const int threads = static_cast<int>(slices_.size());
    const double seconds = run_together(threads, [&](int t) {
      sink.store(static_cast<float>(sum_bytes(slices_[t], bytes_)), std::memory_order_relaxed);
    });
    return static_cast<double>(bytes_) * threads / seconds / 1e9;
  }

 private:
  std::vector<char*> slices_;
  size_t bytes_;
};

double gflops(int threads, double flop_per_iteration, float (*kernel)(int64_t)) {
  constexpr int64_t kIterations = 6'000'000;
  const double seconds = run_together(
      threads, [&](int) { sink.store(kernel(kIterations), std::memory_order_relaxed); });
  return flop_per_iteration * kIterations * threads / seconds / 1e9;
}

void print_round(int threads, Memory& memory) {
  const bool avx512 = __builtin_cpu_supports("avx512f");
  const double fp32 = avx512 ? gflops(threads, kChains * 32.0, fma_avx512)
                             : gflops(threads, kChains * 16.0, fma_avx2);
  const double bf16 =
      __builtin_cpu_supports("avx512bf16") ? gflops(threads, kChains * 64.0, dot_bf16) : 0;
  std::printf(
      "{\"threads\": %d, \"fp32_gflops\": %.1f, \"bf16_gflops\": %.1f, \"read_gb_s\": %.2f}\n",
      threads, fp32, bf16, memory.read_gb_s());
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  int threads = static_cast<int>(std::thread::hardware_concurrency()), rounds = 5, read_mib = 256;
  bool on_request = false;
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    if (flag == "--on-request") {
      on_request = true;
    } else if (i + 1 < argc &&
               (flag == "--threads" || flag == "--rounds" || flag == "--read-mib")) {
      (flag == "--threads"  ? threads
       : flag == "--rounds" ? rounds
                            : read_mib) = std::max(1, std::atoi(argv[++i]));
    } else {
      std::fprintf(stderr,
                   "usage: ceilings [--threads N] [--read-mib N] [--rounds N | --on-request]\n");
      return 2;
    }
  }
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) {
    std::fprintf(stderr, "ceilings: this CPU has no AVX2, which the probes need\n");
    return 1;
  }
  Memory memory(threads, static_cast<size_t>(read_mib) << 20);
  if (on_request) {
    for (std::string line; std::getline(std::cin, line) && line.rfind("go", 0) == 0;)
      print_round(threads, memory);
  } else {
    for (int round = 0; round < rounds; ++round) print_round(threads, memory);
  }
}
