// A trained SentencePiece model without what it says about how its size was asked for: the same
// pieces are the same bytes, whether an option ordered so many or a file wished for at most as
// many.
//
// Of the TrainerSpec, vocab_size becomes the number of pieces, and hard_vocab_limit goes.
#pragma once

#include <string>
#include <string_view>

namespace llm {

/// model: a ModelProto as SentencePiece wrote it.
std::string settled_model(std::string_view model);

}  // namespace llm
