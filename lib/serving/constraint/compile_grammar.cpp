#include "serving/constraint/compile_grammar.h"

#include <algorithm>
#include <unordered_map>

#include "base/error.h"

namespace llm::constraint {
namespace {

constexpr uint32_t kFinish = 0;            // the step that ends every rule
constexpr size_t kComparedTargets = 64;    // of a longer list none is looked for twice
constexpr uint64_t kWrittenOutSteps = 24;  // a repetition up to this size is copied, not counted

class ProgramWriter {
 public:
  explicit ProgramWriter(const GrammarBuilder& builder)
      : builder_(builder), grammar_(std::make_shared<Grammar>()) {
    grammar_->limits = builder.limits();
    grammar_->steps.push_back({Op::finish, 0, 0});
  }

  std::shared_ptr<Grammar> write(RuleId root);

 private:
  uint32_t emit(Expr expr, uint32_t next);
  uint32_t emit_choice(const ExprNode& node, uint32_t next);
  uint32_t emit_texts(const std::vector<std::string_view>& texts, uint32_t next);
  uint32_t emit_characters(const CodeSet& set, uint32_t next);
  uint32_t emit_repeat(const ExprNode& node, uint32_t next);
  uint32_t emit_counted(const ExprNode& node, uint32_t next);
  uint32_t emit_bytes(const ByteSet& set, uint32_t next);
  uint32_t emit_split(std::vector<uint32_t> targets);
  uint32_t add(Step step);
  void set_targets(uint32_t split, std::vector<uint32_t> targets);
  uint32_t set_index(const ByteSet& set);
  uint32_t rule_index(RuleId id);
  void classify_bytes();

  const GrammarBuilder& builder_;
  std::shared_ptr<Grammar> grammar_;
  std::unordered_map<ByteSet, uint32_t> set_indices_;
  std::unordered_map<uint64_t, uint32_t> bytes_steps_;  // (set, next) -> step
  std::unordered_map<RuleId, uint32_t> rule_indices_;
  std::vector<RuleId> pending_rules_;
  size_t emitted_ = 0;
};

uint32_t ProgramWriter::add(Step step) {
  check(grammar_->steps.size() < grammar_->limits.max_steps, "{}: more than {} steps",
        builder_.subject(), grammar_->limits.max_steps);
  grammar_->steps.push_back(step);
  return static_cast<uint32_t>(grammar_->steps.size() - 1);
}

uint32_t ProgramWriter::set_index(const ByteSet& set) {
  const auto [place, added] = set_indices_.try_emplace(set, grammar_->sets.size());
  if (added) grammar_->sets.push_back(set);
  return place->second;
}

uint32_t ProgramWriter::rule_index(RuleId id) {
  const auto [place, added] = rule_indices_.try_emplace(id, grammar_->rules.size());
  if (added) {
    check(builder_.rules()[id].defined, "{}: rule '{}' is used but not defined", builder_.subject(),
          builder_.rules()[id].name);
    grammar_->rules.push_back({builder_.rules()[id].name, kNoStep});
    pending_rules_.push_back(id);
  }
  return place->second;
}

void ProgramWriter::set_targets(uint32_t split, std::vector<uint32_t> targets) {
  std::vector<uint32_t> distinct;
  for (const uint32_t target : targets) {
    if (targets.size() > kComparedTargets ||
        std::find(distinct.begin(), distinct.end(), target) == distinct.end()) {
      distinct.push_back(target);
    }
  }
  std::vector<uint32_t>& all = grammar_->targets;
  check(all.size() + distinct.size() <= 4 * grammar_->limits.max_steps, "{}: more than {} steps",
        builder_.subject(), grammar_->limits.max_steps);
  grammar_->steps[split].a = static_cast<uint32_t>(all.size());
  grammar_->steps[split].b = static_cast<uint32_t>(distinct.size());
  all.insert(all.end(), distinct.begin(), distinct.end());
}

uint32_t ProgramWriter::emit_split(std::vector<uint32_t> targets) {
  if (targets.size() == 1) return targets[0];
  const uint32_t split = add({Op::split, 0, 0});
  set_targets(split, std::move(targets));
  return split;
}

uint32_t ProgramWriter::emit_bytes(const ByteSet& set, uint32_t next) {
  const uint32_t index = set_index(set);
  const auto [place, added] = bytes_steps_.try_emplace(uint64_t{index} << 32 | next, 0);
  if (added) place->second = add({Op::bytes, index, next});
  return place->second;
}

uint32_t ProgramWriter::emit_characters(const CodeSet& set, uint32_t next) {
  ByteSet single;
  std::vector<uint32_t> ways;
  for (const ByteSequence& sequence : utf8_sequences(set)) {
    uint32_t after = next;
    for (size_t i = sequence.size(); i-- > 0;) {
      ByteSet bytes;
      for (int byte = sequence[i].first; byte <= sequence[i].last; ++byte) bytes.set(byte);
      if (sequence.size() == 1) {
        single |= bytes;
      } else {
        after = emit_bytes(bytes, after);
      }
    }
    if (sequence.size() > 1) ways.push_back(after);
  }
  if (single.any()) ways.push_back(emit_bytes(single, next));
  return emit_split(std::move(ways));
}

/// A prefix tree of the texts, each going on at `next`.
uint32_t ProgramWriter::emit_texts(const std::vector<std::string_view>& texts, uint32_t next) {
  struct Branch {
    std::vector<std::pair<uint8_t, uint32_t>> children;  // byte, branch; in order of the bytes
    bool ends = false;
  };
  std::vector<std::string_view> sorted = texts;
  std::sort(sorted.begin(), sorted.end());
  std::vector<Branch> tree(1);
  for (const std::string_view text : sorted) {
    uint32_t at = 0;
    for (const char c : text) {
      const auto byte = static_cast<uint8_t>(c);
      if (tree[at].children.empty() || tree[at].children.back().first != byte) {
        check(tree.size() < grammar_->limits.max_steps, "{}: more than {} steps",
              builder_.subject(), grammar_->limits.max_steps);
        tree[at].children.emplace_back(byte, static_cast<uint32_t>(tree.size()));
        tree.emplace_back();
      }
      at = tree[at].children.back().second;
    }
    tree[at].ends = true;
  }
  std::vector<uint32_t> entry(tree.size());  // a branch has a larger number than its parent
  for (size_t i = tree.size(); i-- > 0;) {
    std::vector<uint32_t> ways;
    for (const auto& [byte, child] : tree[i].children) {
      ByteSet set;
      set.set(byte);
      ways.push_back(emit_bytes(set, entry[child]));
    }
    if (tree[i].ends) ways.push_back(next);
    entry[i] = emit_split(std::move(ways));
  }
  return entry[0];
}

uint32_t ProgramWriter::emit_choice(const ExprNode& node, uint32_t next) {
  std::vector<std::string_view> texts;
  std::vector<uint32_t> ways;
  for (const Expr part : node.parts) {
    if (builder_.node(part).kind == ExprKind::literal) {
      texts.push_back(builder_.node(part).text);
    } else {
      ways.push_back(emit(part, next));
    }
  }
  if (!texts.empty()) ways.push_back(emit_texts(texts, next));
  return emit_split(std::move(ways));
}

uint32_t ProgramWriter::emit_repeat(const ExprNode& node, uint32_t next) {
  const Expr part = node.parts[0];
  if (node.max == kUnbounded && node.min <= 1) {
    const uint32_t again = add({Op::split, 0, 0});
    const uint32_t body = emit(part, again);
    set_targets(again, {body, next});
    return node.min == 0 ? again : body;
  }
  if (node.max == 1) return emit_split({emit(part, next), next});
  const ExprKind kind = builder_.node(part).kind;
  const uint64_t size = kind == ExprKind::literal ? builder_.node(part).text.size() : 1;
  const bool plain = kind == ExprKind::literal || kind == ExprKind::characters;
  const uint64_t copies = node.max == kUnbounded ? node.min : node.max;
  if (!plain || size * copies > kWrittenOutSteps) return emit_counted(node, next);
  uint32_t entry = next;
  if (node.max == kUnbounded) {
    const uint32_t again = add({Op::split, 0, 0});
    set_targets(again, {emit(part, again), next});
    entry = again;
  } else {
    for (uint32_t i = node.min; i < node.max; ++i) entry = emit_split({emit(part, entry), next});
  }
  for (uint32_t i = 0; i < node.min; ++i) entry = emit(part, entry);
  return entry;
}

uint32_t ProgramWriter::emit_counted(const ExprNode& node, uint32_t next) {
  const auto index = static_cast<uint32_t>(grammar_->loops.size());
  grammar_->loops.push_back({node.min, node.max, kNoStep, kNoStep, next, false});
  const uint32_t test = add({Op::test, index, 0});
  const uint32_t again = add({Op::again, index, 0});
  const uint32_t body = emit(node.parts[0], again);
  grammar_->loops[index].test = test;
  grammar_->loops[index].body = body;
  return add({Op::loop, index, 0});
}

uint32_t ProgramWriter::emit(Expr expr, uint32_t next) {
  check(++emitted_ <= 4 * grammar_->limits.max_steps, "{}: more than {} steps", builder_.subject(),
        grammar_->limits.max_steps);
  const ExprNode& node = builder_.node(expr);
  switch (node.kind) {
    case ExprKind::literal:
      return emit_texts({node.text}, next);
    case ExprKind::characters:
      return emit_characters(node.set, next);
    case ExprKind::sequence:
      for (size_t i = node.parts.size(); i-- > 0;) next = emit(node.parts[i], next);
      return next;
    case ExprKind::choice:
      return emit_choice(node, next);
    case ExprKind::repeat:
      return emit_repeat(node, next);
    case ExprKind::rule:
      break;
  }
  return add({Op::call, rule_index(node.rule), next == kFinish ? kNoStep : next});
}

/// Bytes that belong to the same sets become one class.
void ProgramWriter::classify_bytes() {
  std::array<uint32_t, 256> class_of{};
  uint32_t classes = 1;
  for (const ByteSet& set : grammar_->sets) {
    std::unordered_map<uint32_t, uint32_t> renamed;  // (class, in the set) -> class
    for (size_t byte = 0; byte < 256; ++byte) {
      const uint32_t key = class_of[byte] * 2 + set[byte];
      class_of[byte] = renamed.try_emplace(key, renamed.size()).first->second;
    }
    classes = static_cast<uint32_t>(renamed.size());
    if (classes == 256) break;
  }
  grammar_->classes = classes;
  for (size_t byte = 0; byte < 256; ++byte) {
    grammar_->class_of[byte] = static_cast<uint8_t>(class_of[byte]);
  }
  for (const ByteSet& set : grammar_->sets) {
    std::vector<bool> has(classes);
    for (size_t byte = 0; byte < 256; ++byte) {
      if (set[byte]) has[class_of[byte]] = true;
    }
    grammar_->set_has_class.push_back(std::move(has));
  }
}

std::shared_ptr<Grammar> ProgramWriter::write(RuleId root) {
  grammar_->root = rule_index(root);
  while (!pending_rules_.empty()) {
    const RuleId id = pending_rules_.back();
    pending_rules_.pop_back();
    const uint32_t start = emit(builder_.rules()[id].body, kFinish);
    grammar_->rules[rule_indices_.at(id)].start = start;
  }
  classify_bytes();
  analyse_grammar(*grammar_, builder_.subject());
  return grammar_;
}

}  // namespace

std::shared_ptr<const Grammar> compile_grammar(const GrammarBuilder& builder, RuleId root) {
  return ProgramWriter(builder).write(root);
}

}  // namespace llm::constraint
