// How generate, chat and api are told their model, and what they open beside it: a draft, a
// grammar. The model itself is text/text_model.h.
#pragma once

#include <iosfwd>
#include <memory>
#include <string>

#include "base/config.h"
#include "base/device.h"
#include "serving/constraint/constraint.h"
#include "text/draft_model.h"
#include "text/text_model.h"

namespace llm {

/// The rows by which a verb is told its model; `takes_adapter`: --adapter DIR among them.
void declare_model_rows(Fields& f, TextModelPaths& paths, bool takes_adapter = true);
/// Short flags and help for the rows of a verb that writes or serves.
void show_generation_rows(Fields& f);

/// All that is left in the stream (a file or a pipe). Error(io) "cannot read SUBJECT: ...".
std::string rest_of(std::istream& stream, const std::string& subject);

/// open_text_model with the rows of a verb; says what was opened.
TextModel open_text_model(const TextModelPaths& paths, const RuntimeConfig& runtime);

/// `config` with the model's defaults where the user said nothing (rows "generation.*").
GenerationConfig with_model_defaults(GenerationConfig config, const TextModel& model,
                                     const Fields& fields);

/// Guesses for speculation: a draft model, or prompt lookup where `path` is empty. at_once: see
/// draft_with().
DraftModel open_draft(const std::string& path, const TextModel& target,
                      const RuntimeConfig& runtime, int64_t at_once = 64);

/// The grammar of a GBNF or JSON schema file for this model's tokens; null where both are empty.
std::shared_ptr<const Constraint> open_constraint(const std::string& grammar_file,
                                                  const std::string& schema_file,
                                                  const TextModel& model,
                                                  std::span<const int64_t> end_ids);

}  // namespace llm
