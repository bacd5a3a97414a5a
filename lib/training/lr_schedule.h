// Learning rate as a pure function of the step, so that a resumed run needs no scheduler state.
//
// Steps count optimizer steps from 0. With peak p, warm-up w, total n, floor m = min_lr_ratio * p:
//   step < w      p * (step + 1) / w                       (never zero, reaches p at step w - 1)
//   cosine        m + (p - m) * (1 + cos(pi * t)) / 2      t = (step - w) / max(1, n - 1 - w), 0 at
//   the first step after warm-up, 1 at the last linear        m + (p - m) * (1 - t) polynomial    m
//   + (p - m) * (1 - t)^power constant      p wsd           p until the last d = decay_fraction * n
//   steps, then linear to m: p + (m - p) * k / d at the k-th of them, k = 1 .. d
// Steps at or beyond n give the value of step n - 1.
#pragma once

#include <cstdint>

#include "training/training_config.h"

namespace llm {

struct LrSchedule {
  SchedulerConfig config;
  double peak = 0;
  int64_t warmup_steps = 0;  // resolved
  int64_t total_steps = 0;

  double at(int64_t step) const;
};

LrSchedule make_lr_schedule(const SchedulerConfig& config, double peak, int64_t total_steps);

}  // namespace llm
