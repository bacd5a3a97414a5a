# Compiler settings that every target shares.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Build type" FORCE)
endif()
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib)

add_library(llm_settings INTERFACE)
target_include_directories(llm_settings INTERFACE ${PROJECT_SOURCE_DIR}/lib ${CMAKE_BINARY_DIR}/generated)
# Header-only fmt: LibTorch's include folder carries another fmt, whose library nobody links.
target_compile_definitions(llm_settings INTERFACE FMT_HEADER_ONLY)
target_compile_options(llm_settings INTERFACE -Wall -Wextra)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  target_compile_options(llm_settings INTERFACE -Wno-restrict)  # GCC 12 sees overlaps inside std::string::insert that are not there
endif()
if(LLM_WERROR)
  target_compile_options(llm_settings INTERFACE -Werror)
endif()
if(LLM_SANITIZE)
  target_compile_options(llm_settings INTERFACE -fsanitize=address,undefined -fno-sanitize=vptr -fno-sanitize-recover=undefined
                                                -fno-omit-frame-pointer)
  target_link_options(llm_settings INTERFACE -fsanitize=address,undefined)
endif()

execute_process(COMMAND git -C ${PROJECT_SOURCE_DIR} rev-parse --short=12 HEAD OUTPUT_VARIABLE LLM_COMMIT
                OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
if(NOT LLM_COMMIT)
  set(LLM_COMMIT unknown)
endif()
configure_file(${PROJECT_SOURCE_DIR}/cmake/build_facts.h.in ${CMAKE_BINARY_DIR}/generated/build_facts.h @ONLY)
