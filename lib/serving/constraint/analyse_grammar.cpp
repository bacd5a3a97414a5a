// What has to be known of every step before a grammar is used. The two questions asked of all steps
// (can the rule end without a byte, how much stack does its shortest way need) have the same form:
// a step's answer is the least of its ways, or the greatest where it needs all of them. They are
// settled in order of the answer, smallest first (Knuth 1977, "A generalization of Dijkstra's
// algorithm"), each step once.
#include <algorithm>
#include <queue>

#include "base/error.h"
#include "serving/constraint/compile_grammar.h"

namespace llm::constraint {
namespace {

class StepCosts {
 public:
  /// cost[step] of reaching the end of the step's rule, kNoStep where there is no way. Bytes cost
  /// nothing or, where only empty ways count, cannot be passed.
  StepCosts(const Grammar& grammar, bool only_empty) : grammar_(grammar), only_empty_(only_empty) {}

  std::vector<uint32_t> solve();

 private:
  struct Use {
    uint32_t user;
    uint32_t extra;  // stack on top of what the used step needs
  };
  void need(uint32_t user, uint32_t used, uint32_t extra = 0) {
    uses_[used].push_back({user, extra});
  }
  void describe(uint32_t step);

  const Grammar& grammar_;
  const bool only_empty_;
  std::vector<std::vector<Use>> uses_;
  std::vector<uint8_t> open_;  // answers that a step still waits for
  std::vector<uint32_t> greatest_;
  std::vector<uint32_t> known_;  // steps whose cost is 0 from the start
};

void StepCosts::describe(uint32_t step) {
  const Step& at = grammar_.steps[step];
  switch (at.op) {
    case Op::finish:
      known_.push_back(step);
      break;
    case Op::bytes:
      if (!only_empty_) need(step, at.b);
      break;
    case Op::split:
      for (uint32_t i = 0; i < at.b; ++i) need(step, grammar_.targets[at.a + i]);
      break;
    case Op::call:
      need(step, grammar_.rules[at.a].start, at.b == kNoStep ? 0 : 1);
      if (at.b != kNoStep) {
        need(step, at.b);
        open_[step] = 2;
      }
      break;
    case Op::loop:
      need(step, grammar_.loops[at.a].test, 1);
      break;
    case Op::test:
      need(step, grammar_.loops[at.a].exit);
      if (grammar_.loops[at.a].min > 0) {
        need(step, grammar_.loops[at.a].body);
        open_[step] = 2;
      }
      break;
    case Op::again:  // the end of a body; what follows was provided for when it was entered
      if (only_empty_) {
        known_.push_back(step);
      } else {
        need(step, grammar_.loops[at.a].exit);
      }
      break;
  }
}

std::vector<uint32_t> StepCosts::solve() {
  const size_t count = grammar_.steps.size();
  uses_.resize(count);
  open_.assign(count, 1);
  greatest_.assign(count, 0);
  for (uint32_t step = 0; step < count; ++step) describe(step);
  using Answer = std::pair<uint32_t, uint32_t>;  // cost, step
  std::priority_queue<Answer, std::vector<Answer>, std::greater<>> answers;
  for (const uint32_t step : known_) answers.push({0, step});
  std::vector<uint32_t> cost(count, kNoStep);
  while (!answers.empty()) {
    const auto [value, step] = answers.top();
    answers.pop();
    if (cost[step] != kNoStep) continue;
    cost[step] = value;
    for (const Use& use : uses_[step]) {
      greatest_[use.user] = std::max(greatest_[use.user], value + use.extra);
      if (cost[use.user] != kNoStep) continue;
      if (open_[use.user] == 1) {
        answers.push({greatest_[use.user], use.user});
        if (grammar_.steps[use.user].op == Op::split) greatest_[use.user] = 0;
      } else {
        --open_[use.user];
      }
    }
  }
  return cost;
}

/// Rules that a rule may begin with, before any byte.
std::vector<uint32_t> first_rules(const Grammar& grammar, const std::vector<uint32_t>& empty_cost,
                                  uint32_t rule, std::vector<uint32_t>& seen) {
  std::vector<uint32_t> rules, work{grammar.rules[rule].start};
  while (!work.empty()) {
    const uint32_t step = work.back();
    work.pop_back();
    if (seen[step] == rule + 1) continue;
    seen[step] = rule + 1;
    const Step& at = grammar.steps[step];
    if (at.op == Op::split) {
      for (uint32_t i = 0; i < at.b; ++i) work.push_back(grammar.targets[at.a + i]);
    } else if (at.op == Op::call) {
      rules.push_back(at.a);
      if (at.b != kNoStep && empty_cost[grammar.rules[at.a].start] != kNoStep) work.push_back(at.b);
    } else if (at.op == Op::loop || at.op == Op::test) {
      const Loop& loop = grammar.loops[at.a];
      work.push_back(loop.body);
      if (loop.min == 0) work.push_back(loop.exit);
    }
  }
  return rules;
}

[[noreturn]] void refuse_cycle(const Grammar& grammar, const std::string& subject,
                               const std::vector<uint32_t>& path, uint32_t rule) {
  const auto begin = std::find(path.begin(), path.end(), rule);
  std::string names;
  const size_t length = static_cast<size_t>(path.end() - begin);
  for (size_t i = 0; i < std::min<size_t>(length, 8); ++i) {
    names += grammar.rules[begin[i]].name + " -> ";
  }
  if (length > 8) names += "... -> ";
  fail(Exit::usage, fmt::format("{}: rule '{}' is left-recursive ({}{})", subject,
                                grammar.rules[rule].name, names, grammar.rules[rule].name));
}

void refuse_left_recursion(const Grammar& grammar, const std::vector<uint32_t>& empty_cost,
                           const std::string& subject) {
  std::vector<uint32_t> seen(grammar.steps.size(), 0);
  std::vector<std::vector<uint32_t>> first(grammar.rules.size());
  for (uint32_t rule = 0; rule < grammar.rules.size(); ++rule) {
    first[rule] = first_rules(grammar, empty_cost, rule, seen);
  }
  std::vector<uint8_t> state(grammar.rules.size(), 0);  // 1 on the path, 2 done
  for (uint32_t top = 0; top < grammar.rules.size(); ++top) {
    if (state[top] != 0) continue;
    std::vector<uint32_t> path{top};
    std::vector<size_t> next{0};
    state[top] = 1;
    while (!path.empty()) {
      const uint32_t rule = path.back();
      if (next.back() == first[rule].size()) {
        state[rule] = 2;
        path.pop_back();
        next.pop_back();
        continue;
      }
      const uint32_t follower = first[rule][next.back()++];
      if (state[follower] == 1) refuse_cycle(grammar, subject, path, follower);
      if (state[follower] == 2) continue;
      state[follower] = 1;
      path.push_back(follower);
      next.push_back(0);
    }
  }
}

}  // namespace

void analyse_grammar(Grammar& grammar, const std::string& subject) {
  const std::vector<uint32_t> empty_cost = StepCosts(grammar, true).solve();
  for (Loop& loop : grammar.loops) {
    loop.nullable_body = empty_cost[loop.body] != kNoStep;
    if (loop.nullable_body) loop.min = 0;  // the same texts: empty rounds fill up the rest
  }
  refuse_left_recursion(grammar, empty_cost, subject);
  grammar.room = StepCosts(grammar, false).solve();
  const Rule& root = grammar.rules[grammar.root];
  const uint32_t room = grammar.room[root.start];
  check(room != kNoStep, "{}: nothing can match rule '{}'", subject, root.name);
  check(room <= grammar.limits.max_stack_depth, "{}: nesting deeper than {}", subject,
        grammar.limits.max_stack_depth);
}

}  // namespace llm::constraint
