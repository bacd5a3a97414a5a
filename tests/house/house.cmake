# Checks of the sources themselves; no binary is needed.
add_test(NAME house.layers COMMAND ${PROJECT_SOURCE_DIR}/scripts/check_layers.sh)
add_test(NAME house.sources COMMAND ${PROJECT_SOURCE_DIR}/scripts/check_sources.sh)
add_test(NAME house.breaches COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/house/breaches_test.sh)
add_test(NAME house.readme COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/house/readme_test.sh)
add_test(NAME house.skipped COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/house/skipped_test.sh)
add_test(NAME house.libtorch COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/house/libtorch_test.sh)
set_tests_properties(house.libtorch PROPERTIES ENVIRONMENT
  "SOURCES=${PROJECT_SOURCE_DIR};BUILD=${CMAKE_BINARY_DIR};CMAKE=${CMAKE_COMMAND};CXX=${CMAKE_CXX_COMPILER};GENERATOR=${CMAKE_GENERATOR};TORCH=${LLM_TORCH_DIR}")
set_tests_properties(house.layers house.sources house.breaches house.readme house.skipped house.libtorch PROPERTIES LABELS unit TIMEOUT 60)
