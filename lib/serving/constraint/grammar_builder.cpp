#include "serving/constraint/grammar_builder.h"

#include <algorithm>

#include "base/error.h"
#include "serving/constraint/compile_grammar.h"

namespace llm::constraint {
namespace {

bool unbounded(uint32_t count) { return count == kUnbounded; }

/// x{a,b}{c,d} is x{ac,bd} where no number between is left out.
void join_repetitions(ExprNode& outer, const ExprNode& inner) {
  if (inner.kind != ExprKind::repeat || (inner.min > 1 && outer.min != outer.max)) return;
  const uint64_t least = uint64_t{inner.min} * outer.min;
  const uint64_t most =
      unbounded(inner.max) || unbounded(outer.max) ? kUnbounded : uint64_t{inner.max} * outer.max;
  if (least >= kUnbounded || most > kUnbounded) return;
  outer.min = static_cast<uint32_t>(least);
  outer.max = static_cast<uint32_t>(most);
  outer.parts = {inner.parts[0]};
}

}  // namespace

GrammarBuilder::GrammarBuilder(std::string subject, GrammarLimits limits)
    : subject_(std::move(subject)), limits_(limits) {}

Expr GrammarBuilder::add(ExprNode node) {
  for (const Expr part : node.parts) node.depth = std::max(node.depth, nodes_[part].depth + 1);
  check(node.depth <= limits_.max_nesting, "{}: nesting deeper than {}", subject_,
        limits_.max_nesting);
  check(nodes_.size() < limits_.max_steps, "{}: more than {} parts", subject_, limits_.max_steps);
  nodes_.push_back(std::move(node));
  return static_cast<Expr>(nodes_.size() - 1);
}

Expr GrammarBuilder::literal(std::string_view bytes) {
  ExprNode node;
  node.text = bytes;
  return add(std::move(node));
}

Expr GrammarBuilder::characters(CodeSet set) {
  ExprNode node;
  node.kind = ExprKind::characters;
  node.set = normalized(std::move(set));
  return add(std::move(node));
}

Expr GrammarBuilder::sequence(std::vector<Expr> parts) {
  if (parts.size() == 1) return parts[0];
  if (parts.empty()) return literal("");
  ExprNode node;
  node.kind = ExprKind::sequence;
  node.parts = std::move(parts);
  return add(std::move(node));
}

Expr GrammarBuilder::choice(std::vector<Expr> parts) {
  if (parts.size() == 1) return parts[0];
  ExprNode node;
  node.kind = ExprKind::choice;
  node.parts = std::move(parts);
  return add(std::move(node));
}

Expr GrammarBuilder::repeat(Expr part, uint32_t min, uint32_t max) {
  check(min <= max, "{}: a repetition of at least {} and at most {}", subject_, min, max);
  if (max == 0) return literal("");
  if (min == 1 && max == 1) return part;
  ExprNode node;
  node.kind = ExprKind::repeat;
  node.min = min;
  node.max = max;
  node.parts = {part};
  join_repetitions(node, nodes_[part]);
  return add(std::move(node));
}

Expr GrammarBuilder::rule(RuleId id) {
  ExprNode node;
  node.kind = ExprKind::rule;
  node.rule = id;
  return add(std::move(node));
}

RuleId GrammarBuilder::declare(std::string name) {
  check(rules_.size() < limits_.max_rules, "{}: more than {} rules", subject_, limits_.max_rules);
  rules_.push_back({std::move(name), 0, false});
  return static_cast<RuleId>(rules_.size() - 1);
}

void GrammarBuilder::define(RuleId id, Expr body) {
  rules_[id].body = body;
  rules_[id].defined = true;
}

Expr GrammarBuilder::as_rule(std::string name, Expr body) {
  const RuleId id = declare(std::move(name));
  define(id, body);
  return rule(id);
}

std::shared_ptr<const Grammar> GrammarBuilder::build(RuleId root) {
  return compile_grammar(*this, root);
}

}  // namespace llm::constraint
