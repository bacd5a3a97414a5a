// Compiles one JSON schema. Used by json_schema.cpp only.
//
// One rule per $ref target and per object, so that recursion and repetition cost a name. A budget
// bounds what references of references can unfold to. Not thread-safe.
#pragma once

#include <deque>
#include <string>
#include <unordered_map>
#include <vector>

#include "serving/constraint/json_parts.h"
#include "serving/constraint/schema_keywords.h"

namespace llm::constraint {

class SchemaCompiler {
 public:
  SchemaCompiler(GrammarBuilder& builder, JsonParts& json, const Schema& root, std::string place);

  Expr compile_root();

 private:
  struct Member {
    std::string name;
    Expr pair;  // "name": value
    bool required;
  };
  struct Target {
    const Schema* schema;
    std::string place;
  };

  Expr compile(const Schema& schema, const std::string& place);
  Expr compile_keywords(const Schema& schema, const std::string& place);
  Expr compile_reference(const Schema& schema, const std::string& place);
  Expr compile_values(const Schema& schema, const std::string& place);
  Expr compile_any_of(const Schema& schema, std::string_view keyword, const std::string& place);
  Expr compile_all_of(const Schema& schema, const std::string& place);
  Expr compile_types(const Schema& schema, const std::string& place);
  Expr compile_type(const Schema& schema, std::string_view type, const std::string& place);

  // schema_objects.cpp
  Expr compile_object(const Schema& schema, const std::string& place);
  std::vector<Member> read_members(const Schema& schema, const std::string& place);
  Expr members_in_order(const std::vector<Member>& members, Expr more, Expr first_more,
                        const std::string& place);

  // schema_merge.cpp
  Schema merge_objects(const Schema& schema, const std::string& place);
  void collect_parts(const Schema& schema, const std::string& place, size_t depth,
                     std::vector<Target>& parts);

  // schema_values.cpp
  Expr compile_array(const Schema& schema, const std::string& place);
  Expr compile_string(const Schema& schema, const std::string& place);
  Expr compile_number(const Schema& schema, std::string_view type, const std::string& place);

  // schema_references.cpp
  Target find_target(const Schema& schema, const std::string& place) const;
  void refuse_empty_cycles(const Schema& schema, const std::string& place, size_t depth);

  /// Counts one more schema looked at.
  void spend(const std::string& place);

  GrammarBuilder& builder_;
  JsonParts& json_;
  const Schema& root_;
  const std::string root_place_;
  std::unordered_map<const Schema*, RuleId> target_rules_;
  std::vector<Target> pending_;  // targets of $ref whose rule is not defined yet
  std::unordered_map<const Schema*, bool> followed_;  // refuse_empty_cycles: whether done
  std::deque<Schema> merged_;                         // schemas made by merge_objects
  size_t depth_ = 0;
  size_t spent_ = 0;
  size_t properties_ = 0;
};

}  // namespace llm::constraint
