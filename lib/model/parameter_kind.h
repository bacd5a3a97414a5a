// What a parameter is, for those who treat kinds differently.
#pragma once

namespace llm {

enum class ParameterKind { embedding, matrix, head, norm, bias };

}  // namespace llm
