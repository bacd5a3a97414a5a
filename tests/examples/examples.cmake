# The program and its libraries as others use them: installed, moved, built against, run.
if(NOT TARGET llm)
  return()
endif()
set(llm_examples_flags "")
if(LLM_SANITIZE STREQUAL "thread")
  set(llm_examples_flags -fsanitize=thread)
elseif(LLM_SANITIZE)
  set(llm_examples_flags -fsanitize=address,undefined)
endif()
add_test(NAME examples.installed COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/examples/installed_test.sh)
set_tests_properties(examples.installed PROPERTIES LABELS integration TIMEOUT ${LLM_TEST_SECONDS} FIXTURES_REQUIRED tiny ENVIRONMENT
  "PROGRAM=$<TARGET_FILE:llm>;SOURCES=${PROJECT_SOURCE_DIR};BUILD=${CMAKE_BINARY_DIR};TINY=${CMAKE_BINARY_DIR}/tests/commands/tiny;CMAKE=${CMAKE_COMMAND};CXX=${CMAKE_CXX_COMPILER};CXXFLAGS=${llm_examples_flags};GENERATOR=${CMAKE_GENERATOR};NAME=${LLM_BINARY_NAME};TORCH=${LLM_TORCH_DIR}")
