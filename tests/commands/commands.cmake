# The program from outside: every *_test.sh here is one ctest entry, commands.<name>, run in a folder of its own.
#   PROGRAM     the binary            SOURCES  this checkout            LOOPBACK_HUB  a hub to download from (tests/support)
#   MAKE_ADAPTER  writes random LoRA adapters (tests/support)
#   TINY        a folder that the fixture script make_tiny.sh fills once: tokenizer, data set, a trained run (see its head)
# Tables of refused inputs (bad_inputs/*.sh, one call of `refuse` per row) are entries of their own: commands.bad_inputs.<table>.
if(NOT TARGET llm)
  return()
endif()
set(llm_commands_work ${CMAKE_BINARY_DIR}/tests/commands)
file(MAKE_DIRECTORY ${llm_commands_work})

# Programs that the scripts call.
foreach(tool loopback_hub make_adapter)
  add_executable(${tool} ${CMAKE_CURRENT_SOURCE_DIR}/support/${tool}_main.cpp)
  target_include_directories(${tool} PRIVATE ${PROJECT_SOURCE_DIR})
  set_target_properties(${tool} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests UNITY_BUILD OFF)
endforeach()
target_link_libraries(loopback_hub PRIVATE llm_hub)
target_link_libraries(make_adapter PRIVATE llm_model_plain)

function(llm_command_test name script)
  file(MAKE_DIRECTORY ${llm_commands_work}/${name})
  add_test(NAME commands.${name} COMMAND ${script} WORKING_DIRECTORY ${llm_commands_work}/${name})
  set_tests_properties(commands.${name} PROPERTIES LABELS integration TIMEOUT ${LLM_TEST_SECONDS} SKIP_RETURN_CODE 77 ENVIRONMENT
    "PROGRAM=$<TARGET_FILE:llm>;SOURCES=${PROJECT_SOURCE_DIR};TINY=${llm_commands_work}/tiny;LOOPBACK_HUB=$<TARGET_FILE:loopback_hub>;MAKE_ADAPTER=$<TARGET_FILE:make_adapter>")
endfunction()

set(llm_commands_folder ${CMAKE_CURRENT_SOURCE_DIR}/commands)
llm_command_test(tiny ${llm_commands_folder}/make_tiny.sh)
set_tests_properties(commands.tiny PROPERTIES FIXTURES_SETUP tiny)

file(GLOB llm_command_scripts CONFIGURE_DEPENDS ${llm_commands_folder}/*_test.sh ${llm_commands_folder}/bad_inputs/*.sh)
foreach(script ${llm_command_scripts})
  get_filename_component(name ${script} NAME_WE)
  string(REGEX REPLACE "_test$" "" name ${name})
  if(script MATCHES "/bad_inputs/")
    set(name bad_inputs.${name})
  endif()
  llm_command_test(${name} ${script})
  file(STRINGS ${script} uses_tiny REGEX "TINY" LIMIT_COUNT 1)
  if(uses_tiny)
    set_tests_properties(commands.${name} PROPERTIES FIXTURES_REQUIRED tiny)
  endif()
endforeach()

# What is written here opens in transformers; skipped where no Python has it.
add_test(NAME python.hf_export COMMAND ${LLM_TEST_PYTHON} ${CMAKE_CURRENT_SOURCE_DIR}/support/check_hf_export.py $<TARGET_FILE:llm>
  ${CMAKE_CURRENT_SOURCE_DIR}/fixtures/hf ${llm_commands_work}/hf_export ${llm_commands_work}/tiny/run)
set_tests_properties(python.hf_export PROPERTIES LABELS integration TIMEOUT 300 SKIP_RETURN_CODE 77 FIXTURES_REQUIRED tiny ENVIRONMENT "OMP_NUM_THREADS=1;TOKENIZERS_PARALLELISM=false")

# What a fine-tuned model of each family loses is what transformers says it loses; skipped as well.
add_test(NAME python.finetune COMMAND ${LLM_TEST_PYTHON} ${CMAKE_CURRENT_SOURCE_DIR}/support/check_finetune.py $<TARGET_FILE:llm>
  ${CMAKE_CURRENT_SOURCE_DIR}/fixtures/hf ${llm_commands_work}/finetune_parity)
set_tests_properties(python.finetune PROPERTIES LABELS integration TIMEOUT 300 SKIP_RETURN_CODE 77 ENVIRONMENT "OMP_NUM_THREADS=1;PYTHONDONTWRITEBYTECODE=1")

# Ids, texts and merges are those of Hugging Face's tokenizers; skipped where no Python has that package.
file(GLOB llm_tokenizer_fixtures CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/data/tokenizers/*)
add_test(NAME python.tokenizer_parity COMMAND ${LLM_TEST_PYTHON} ${CMAKE_CURRENT_SOURCE_DIR}/support/check_tokenizer_parity.py
  ${llm_tokenizer_fixtures} --random 2000 --bench $<TARGET_FILE:tokenizer_bench>)
add_test(NAME python.trained_tokenizers COMMAND ${LLM_TEST_PYTHON} ${CMAKE_CURRENT_SOURCE_DIR}/support/check_trained_tokenizers.py
  $<TARGET_FILE:llm> $<TARGET_FILE:tokenizer_bench> ${llm_commands_work}/trained_tokenizers)
set_tests_properties(python.tokenizer_parity python.trained_tokenizers PROPERTIES LABELS integration TIMEOUT 300 SKIP_RETURN_CODE 77
  ENVIRONMENT "TOKENIZERS_PARALLELISM=false;RAYON_NUM_THREADS=1;PYTHONDONTWRITEBYTECODE=1")

# The long form of reliability T1: ctest -L long.
llm_command_test(kill_long ${llm_commands_folder}/kill_test.sh)
set_tests_properties(commands.kill_long PROPERTIES LABELS long TIMEOUT 1800 FIXTURES_REQUIRED tiny)
set_property(TEST commands.kill_long APPEND PROPERTY ENVIRONMENT "KILLS=50")
