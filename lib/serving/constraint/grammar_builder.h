// Puts a grammar together from small parts and compiles it.
//
// Parts are values of type Expr, numbers that belong to one builder; a part may be used in several
// places and is then compiled in each. Errors are Error(Exit::usage) and begin with the subject:
//   "grammar: rule 'a' is left-recursive (a -> b -> a)"
//   "grammar: rule 'a' is used but not defined"
//   "grammar: nothing can match rule 'a'"
//   "grammar: more than 500000 steps", "... rules", "nesting deeper than 256"
// Not thread-safe; one builder per grammar.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "serving/constraint/grammar.h"
#include "serving/constraint/utf8_ranges.h"

namespace llm::constraint {

using Expr = uint32_t;
using RuleId = uint32_t;

enum class ExprKind : uint8_t { literal, characters, sequence, choice, repeat, rule };

/// One part; which members count depends on the kind.
struct ExprNode {
  ExprKind kind = ExprKind::literal;
  uint32_t depth = 1;
  std::string text;         // literal: bytes
  CodeSet set;              // characters, normalized
  std::vector<Expr> parts;  // sequence, choice; repeat: one
  uint32_t min = 0;         // repeat
  uint32_t max = 0;
  RuleId rule = 0;
};

class GrammarBuilder {
 public:
  explicit GrammarBuilder(std::string subject = "grammar", GrammarLimits limits = {});

  Expr literal(std::string_view bytes);  // "" matches the empty text
  Expr characters(CodeSet set);          // one character of these; of none: never matches
  Expr sequence(std::vector<Expr> parts);
  Expr choice(std::vector<Expr> parts);  // of none: never matches
  Expr repeat(Expr part, uint32_t min, uint32_t max = kUnbounded);
  Expr optional(Expr part) { return repeat(part, 0, 1); }
  Expr rule(RuleId id);

  RuleId declare(std::string name);
  void define(RuleId id, Expr body);
  /// A new rule of this body, as a part.
  Expr as_rule(std::string name, Expr body);

  /// Compiles what `root` reaches. `root_name` stands in "nothing can match".
  std::shared_ptr<const Grammar> build(RuleId root);

  const ExprNode& node(Expr expr) const { return nodes_[expr]; }
  const GrammarLimits& limits() const { return limits_; }
  const std::string& subject() const { return subject_; }

  struct RuleBody {
    std::string name;
    Expr body = 0;
    bool defined = false;
  };
  const std::vector<RuleBody>& rules() const { return rules_; }

 private:
  Expr add(ExprNode node);

  std::string subject_;
  GrammarLimits limits_;
  std::vector<ExprNode> nodes_;
  std::vector<RuleBody> rules_;
};

}  // namespace llm::constraint
