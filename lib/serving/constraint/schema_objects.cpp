// Objects: members in the order of the schema, those not required may be left out.
#include <algorithm>

#include "base/error.h"
#include "serving/constraint/schema_compiler.h"

namespace llm::constraint {
namespace {

constexpr size_t kMaxProperties = 5000;

std::vector<std::string> read_required(const Schema& schema, const std::string& place) {
  std::vector<std::string> names;
  const Schema* required = find_keyword(schema, "required");
  if (required == nullptr) return names;
  if (!required->is_array() || required->size() > 2 * kMaxProperties) {
    refuse_schema(fmt::format("'required' must be a list of at most {} names", 2 * kMaxProperties),
                  place);
  }
  for (const Schema& name : *required) {
    if (!name.is_string()) refuse_schema("'required' must be a list of names", place);
    names.push_back(name.get<std::string>());
  }
  return names;
}

}  // namespace

std::vector<SchemaCompiler::Member> SchemaCompiler::read_members(const Schema& schema,
                                                                 const std::string& place) {
  static const Schema kNone = Schema::object();
  const Schema* listed = find_keyword(schema, "properties");
  const Schema& properties = listed == nullptr ? kNone : *listed;
  if (!properties.is_object()) refuse_schema("'properties' must be an object", place);
  std::vector<std::string> required = read_required(schema, place);
  const Schema* more = find_keyword(schema, "additionalProperties");
  const bool closed = (more != nullptr && more->is_boolean() && !more->get<bool>()) ||
                      (more == nullptr && !properties.empty());
  properties_ += properties.size() + required.size();
  if (properties_ > 2 * kMaxProperties || properties.size() > kMaxProperties) {
    refuse_schema(fmt::format("more than {} properties", kMaxProperties), place);
  }
  std::vector<Member> members;
  const auto add = [&](const std::string& name, Expr value, bool is_required) {
    members.push_back(
        {name, builder_.sequence({json_.value(name), json_.colon(), value}), is_required});
  };
  std::vector<std::string> unlisted = required;
  std::sort(required.begin(), required.end());
  std::vector<std::string> names;
  for (const auto& [name, value] : properties.items()) {
    names.push_back(name);
    const bool is_required = std::binary_search(required.begin(), required.end(), name);
    if (value == false && closed && !is_required) continue;  // there in no way
    add(name, compile(value, place_in(place_in(place, "properties"), name)), is_required);
  }
  std::sort(names.begin(), names.end());
  for (const std::string& name : unlisted) {
    const auto known = std::lower_bound(names.begin(), names.end(), name);
    if (known != names.end() && *known == name) continue;
    if (closed) refuse_schema(fmt::format("required '{}' is not in 'properties'", name), place);
    add(name,
        more == nullptr ? json_.any_value()
                        : compile(*more, place_in(place, "additionalProperties")),
        true);
    names.insert(known, name);
  }
  return members;
}

/// `more`: what may follow the last member (begins with a comma); `first_more`: the same where
/// there was no member. Each member not required doubles the ways, so its continuation is a rule.
Expr SchemaCompiler::members_in_order(const std::vector<Member>& members, Expr more,
                                      Expr first_more, const std::string& place) {
  const bool all_required = std::all_of(members.begin(), members.end(),
                                        [](const Member& member) { return member.required; });
  if (all_required) {
    if (members.empty()) return first_more;
    std::vector<Expr> parts;
    for (const Member& member : members) {
      if (!parts.empty()) parts.push_back(json_.comma());
      parts.push_back(member.pair);
    }
    parts.push_back(more);
    return builder_.sequence(std::move(parts));
  }
  Expr first = first_more;
  more = builder_.as_rule(place, more);
  for (size_t i = members.size(); i-- > 0;) {
    const Expr pair = builder_.as_rule(place_in(place, members[i].name), members[i].pair);
    const Expr as_first = builder_.sequence({pair, more});
    const Expr as_next = builder_.sequence({json_.comma(), pair, more});
    const bool required = members[i].required;
    first = builder_.as_rule(place, required ? as_first : builder_.choice({as_first, first}));
    more = builder_.as_rule(place, required ? as_next : builder_.choice({as_next, more}));
  }
  return first;
}

Expr SchemaCompiler::compile_object(const Schema& schema, const std::string& place) {
  const std::vector<Member> members = read_members(schema, place);
  const Schema* additional = find_keyword(schema, "additionalProperties");
  const bool allowed = additional == nullptr ? find_keyword(schema, "properties") == nullptr
                                             : !additional->is_boolean() || additional->get<bool>();
  if (members.empty() && allowed && (additional == nullptr || additional->is_boolean())) {
    return json_.any_object();
  }
  Expr more = builder_.literal(""), first_more = more;
  if (allowed) {
    std::vector<std::string> names;
    for (const Member& member : members) names.push_back(member.name);
    const Expr value = additional == nullptr
                           ? json_.any_value()
                           : compile(*additional, place_in(place, "additionalProperties"));
    const Expr pair =
        builder_.as_rule(place_in(place, "additionalProperties"),
                         builder_.sequence({json_.other_key(names), json_.colon(), value}));
    more = builder_.repeat(builder_.sequence({json_.comma(), pair}), 0);
    first_more = json_.list(pair, 0, kUnbounded);
  }
  return builder_.as_rule(
      place.empty() ? "object" : place,
      builder_.sequence({builder_.literal("{"), members_in_order(members, more, first_more, place),
                         builder_.literal("}")}));
}

}  // namespace llm::constraint
