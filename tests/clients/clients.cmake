# Clients that were not made for this server, against `llm api`: clients.<name>, each a script that skips itself (77) where its package is missing.
# They read the folder that the fixture clients.served fills.
#   LLM_CLIENT_PYTHON   the Python that has openai, lm_eval, schemathesis; by default that of the other tests
if(NOT TARGET llm)
  return()
endif()
set(LLM_CLIENT_PYTHON ${LLM_TEST_PYTHON} CACHE FILEPATH "Python with the packages of the clients that are tested")
set(llm_clients_folder ${CMAKE_CURRENT_SOURCE_DIR}/clients)
set(llm_clients_environment "PROGRAM=$<TARGET_FILE:llm>;SOURCES=${PROJECT_SOURCE_DIR};TINY=${CMAKE_BINARY_DIR}/tests/commands/tiny"
  "SERVED=${CMAKE_BINARY_DIR}/tests/clients/served;PYTHONDONTWRITEBYTECODE=1;OMP_NUM_THREADS=1;TOKENIZERS_PARALLELISM=false")
add_test(NAME clients.served COMMAND ${llm_clients_folder}/make_served.sh)
set_tests_properties(clients.served PROPERTIES LABELS integration TIMEOUT ${LLM_TEST_SECONDS} FIXTURES_SETUP served FIXTURES_REQUIRED tiny
  ENVIRONMENT "${llm_clients_environment};MAKE_ADAPTER=$<TARGET_FILE:make_adapter>")

function(llm_client_test name label seconds)
  add_test(NAME clients.${name} COMMAND ${LLM_CLIENT_PYTHON} ${llm_clients_folder}/${name}.py ${ARGN})
  set_tests_properties(clients.${name} PROPERTIES LABELS ${label} TIMEOUT ${seconds} SKIP_RETURN_CODE 77 FIXTURES_REQUIRED served
    ENVIRONMENT "${llm_clients_environment}")
endfunction()
llm_client_test(openai_client integration ${LLM_TEST_SECONDS})
llm_client_test(lm_eval_client integration ${LLM_TEST_SECONDS})
llm_client_test(streams integration ${LLM_TEST_SECONDS})
llm_client_test(leaving integration ${LLM_TEST_SECONDS})
llm_client_test(malformed_bodies integration ${LLM_TEST_SECONDS} 3000)
# The chat page in Chromium; skips itself where Node, playwright-core or the browser is missing.
set(LLM_NODE_PACKAGES ${PROJECT_SOURCE_DIR}/build/node CACHE PATH "Folder whose node_modules has playwright-core")
add_test(NAME clients.page_client COMMAND sh -c "command -v node > /dev/null || { echo 'skipped: no node'; exit 77; }; exec node ${llm_clients_folder}/page_client.mjs")
set_tests_properties(clients.page_client PROPERTIES LABELS integration TIMEOUT ${LLM_TEST_SECONDS} SKIP_RETURN_CODE 77 FIXTURES_REQUIRED served
  ENVIRONMENT "${llm_clients_environment};NODE_PACKAGES=${LLM_NODE_PACKAGES}")
# The long forms: ctest -L long.
llm_client_test(schemathesis_client long 900 60)
add_test(NAME clients.malformed_long COMMAND ${LLM_CLIENT_PYTHON} ${llm_clients_folder}/malformed_bodies.py 100000 2)
add_test(NAME clients.soak COMMAND ${LLM_CLIENT_PYTHON} ${llm_clients_folder}/soak.py 10000)
set_tests_properties(clients.malformed_long clients.soak PROPERTIES LABELS long TIMEOUT 1800 FIXTURES_REQUIRED served ENVIRONMENT "${llm_clients_environment}")
