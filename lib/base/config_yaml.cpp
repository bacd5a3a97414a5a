#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <optional>
#include <sstream>

#include "base/config_node.h"
#include "base/error.h"

namespace llm {
namespace {

/// Builds the tree from the parser's events: they carry positions and show what yaml-cpp's own
/// nodes hide (duplicates, tags, anchors).
class TreeBuilder : public YAML::EventHandler {
 public:
  explicit TreeBuilder(const std::string& source_name) : source_name_(source_name) {}

  /// An anchor is refused only here, so that a merge key, which is what anchors are mostly for, is
  /// named first.
  ConfigNode take_root() {
    if (first_anchor_) {
      refuse(*first_anchor_, "YAML anchors are not supported; write the value again");
    }
    return std::move(root_);
  }
  const YAML::Mark& document_start() const { return document_start_; }

  void OnDocumentStart(const YAML::Mark& mark) override { document_start_ = mark; }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    note_anchor(mark, anchor);
    add(make(ConfigNode::null, mark));
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    refuse(mark, "YAML aliases are not supported; write the value again");
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    note_anchor(mark, anchor);
    if (tag != "?" && tag != "!") {
      refuse(mark, "YAML tags are not supported");
    }
    ConfigNode node = make(tag == "!" ? ConfigNode::text : ConfigNode::word, mark);
    node.content = value;
    add(std::move(node));
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(ConfigNode::list, mark, tag, anchor);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(ConfigNode::map, mark, tag, anchor);
  }
  void OnMapEnd() override { close(); }

 private:
  /// A list or map being filled; a map holds the key that waits for its value.
  struct Level {
    ConfigNode node;
    bool has_key = false;
    ConfigNode::Member member;
  };

  [[noreturn]] void refuse(const YAML::Mark& mark, const std::string& message) const {
    fail_in_config(source_name_, mark.line + 1, mark.column + 1, message);
  }
  void note_anchor(const YAML::Mark& mark, YAML::anchor_t anchor) {
    if (anchor != 0 && !first_anchor_) {
      first_anchor_ = mark;
    }
  }

  static ConfigNode make(ConfigNode::Kind kind, const YAML::Mark& mark) {
    ConfigNode node;
    node.kind = kind;
    node.line = mark.line + 1;
    node.column = mark.column + 1;
    return node;
  }

  void open(ConfigNode::Kind kind, const YAML::Mark& mark, const std::string& tag,
            YAML::anchor_t anchor) {
    note_anchor(mark, anchor);
    if (!tag.empty() && tag != "?") {
      refuse(mark, "YAML tags are not supported");
    }
    if (levels_.size() >= kConfigDepth) {
      refuse(mark, fmt::format("nesting deeper than {}", kConfigDepth));
    }
    levels_.push_back({make(kind, mark), false, {}});
  }

  void close() {
    ConfigNode done = std::move(levels_.back().node);
    levels_.pop_back();
    add(std::move(done));
  }

  void add(ConfigNode node) {
    if (levels_.empty()) {
      root_ = std::move(node);
      return;
    }
    Level& level = levels_.back();
    if (level.node.kind == ConfigNode::list) {
      level.node.items.push_back(std::move(node));
    } else if (level.has_key) {
      level.member.value = std::move(node);
      level.node.members.push_back(std::move(level.member));
      level.has_key = false;
    } else {
      start_member(level, node);
    }
  }

  void start_member(Level& level, const ConfigNode& key) const {
    if (key.kind == ConfigNode::list || key.kind == ConfigNode::map) {
      fail_in_config(source_name_, key.line, key.column, "a key must be plain text");
    }
    if (key.kind == ConfigNode::null) {
      fail_in_config(source_name_, key.line, key.column, "a key is missing before ':'");
    }
    if (key.kind == ConfigNode::word && key.content == "<<") {
      fail_in_config(source_name_, key.line, key.column, "YAML merge keys are not supported");
    }
    level.member = {key.content, key.line, key.column, {}};
    level.has_key = true;
  }

  const std::string& source_name_;
  std::vector<Level> levels_;
  ConfigNode root_;
  YAML::Mark document_start_;
  std::optional<YAML::Mark> first_anchor_;
};

/// yaml-cpp's own words for this are about tokens that "cannot start"; the cause is nearly always
/// an editor.
void refuse_tab_indentation(std::string_view text, const std::string& source_name) {
  int line = 1;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    const std::string_view row = text.substr(0, end);
    const size_t content = row.find_first_not_of(" \t\r");
    const size_t tab = row.substr(0, content).find('\t');
    if (content != std::string_view::npos && row[content] != '#' && tab != std::string_view::npos) {
      fail_in_config(source_name, line, static_cast<int>(tab) + 1,
                     "tabs cannot indent YAML; use spaces");
    }
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    ++line;
  }
}

}  // namespace

ConfigNode parse_yaml_config(std::string_view text, const std::string& source_name) {
  refuse_tab_indentation(text, source_name);
  std::istringstream stream{std::string(text)};
  TreeBuilder first(source_name);
  try {
    YAML::Parser parser(stream);
    if (!parser.HandleNextDocument(first)) {
      fail_in_config(source_name, 1, 1, "config is empty");
    }
    TreeBuilder second(source_name);
    if (parser.HandleNextDocument(second)) {
      const YAML::Mark& mark = second.document_start();
      fail_in_config(source_name, mark.line + 1, mark.column + 1,
                     "only one YAML document is allowed; second starts here");
    }
  } catch (const YAML::Exception& error) {
    fail_in_config(source_name, error.mark.line + 1, error.mark.column + 1,
                   "invalid YAML: " + error.msg);
  }
  return first.take_root();
}

}  // namespace llm
