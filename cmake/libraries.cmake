# llm_library(name [FOLDER folder] [TORCH] [PARTS subfolder...] DEPENDS target...): every source of lib/<folder> (of its subfolders only those
# named as PARTS) as lib/libllm_<name>.so.
# --no-undefined makes a call against the order of the layers a link error.
# The sources of a TORCH library whose includes reach no header of LibTorch become lib/libllm_<name>_plain.so, which the rest is linked with:
# what needs no tensors starts without LibTorch (apps/torch_side.h), whose own start takes 0.2 s. A call from there to the rest is a link error.
function(llm_library name)
  cmake_parse_arguments(arg "TORCH" "FOLDER" "PARTS;DEPENDS" ${ARGN})
  if(NOT arg_FOLDER)
    set(arg_FOLDER ${name})
  endif()
  file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/lib/${arg_FOLDER}/*.cpp)
  foreach(part ${arg_PARTS})
    file(GLOB part_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/lib/${arg_FOLDER}/${part}/*.cpp)
    list(APPEND sources ${part_sources})
  endforeach()
  if(NOT sources)
    add_library(llm_${name} INTERFACE)
    return()
  endif()
  if(NOT arg_TORCH)
    llm_shared(llm_${name} SOURCES ${sources} DEPENDS ${arg_DEPENDS})
    return()
  endif()
  llm_split(plain torch ${sources})
  if(plain)
    llm_plain_depends(plain_depends ${arg_DEPENDS})
    llm_shared(llm_${name}_plain SOURCES ${plain} DEPENDS ${plain_depends})
    list(APPEND arg_DEPENDS llm_${name}_plain)
  endif()
  llm_shared(llm_${name} SOURCES ${torch} DEPENDS ${arg_DEPENDS} llm_torch)
  if(LLM_PCH)
    target_precompile_headers(llm_${name} PRIVATE <ATen/ATen.h>)
  endif()
endfunction()

# llm_shared(target SOURCES source... DEPENDS target...): a shared library of the program.
function(llm_shared target)
  cmake_parse_arguments(arg "" "" "SOURCES;DEPENDS" ${ARGN})
  add_library(${target} SHARED ${arg_SOURCES})
  target_link_libraries(${target} PUBLIC llm_settings ${arg_DEPENDS})
  if(NOT LLM_FUZZ)  # clang puts the sanitizers' symbols into programs only
    target_link_options(${target} PRIVATE -Wl,--no-undefined)
  endif()
  # (GCC 11 and 12 take the undefined operands inside their own intrinsics for uninitialised variables.)
  # Kernels for one instruction set are compiled with its flags and chosen at run time; they cannot share a unit with others.
  set(isa_sources ${arg_SOURCES})
  list(FILTER isa_sources INCLUDE REGEX "_avx512\\.cpp$")
  if(isa_sources)
    set_source_files_properties(${isa_sources} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON SKIP_PRECOMPILE_HEADERS ON
      COMPILE_OPTIONS "-mavx512f;-mavx512bw;-mavx512vl;-mavx512dq;-mavx512bf16;-mfma;-O3;-ffp-contract=fast;-Wno-uninitialized;$<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>")
  endif()
  llm_unity(${target} ${arg_SOURCES})
  set_target_properties(${target} PROPERTIES INSTALL_RPATH "$ORIGIN;${LLM_TORCH_RPATH}")
  install(TARGETS ${target} LIBRARY DESTINATION lib)
endfunction()

# llm_split(plain torch source...): sources whose includes do not reach LibTorch, and the others.
function(llm_split plain_variable torch_variable)
  set(plain "")
  set(torch "")
  foreach(source ${ARGN})
    llm_needs_torch(${source} needed)
    if(needed)
      list(APPEND torch ${source})
    else()
      list(APPEND plain ${source})
    endif()
  endforeach()
  set(${plain_variable} ${plain} PARENT_SCOPE)
  set(${torch_variable} ${torch} PARENT_SCOPE)
endfunction()

# llm_plain_depends(variable target...): the targets, of libraries that need LibTorch the half that does not.
function(llm_plain_depends variable)
  set(depends "")
  foreach(target ${ARGN})
    if(TARGET ${target}_plain)
      set(target ${target}_plain)
    endif()
    list(APPEND depends ${target})
  endforeach()
  set(${variable} ${depends} PARENT_SCOPE)
endfunction()

# The program itself, from apps/: `llm` and libllm_commands.so, which need no LibTorch, and libllm_torch_commands.so, which is loaded by name
# when a verb asks for it.
function(llm_program)
  file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/apps/*.cpp ${PROJECT_SOURCE_DIR}/apps/commands/*.cpp)
  list(REMOVE_ITEM sources ${PROJECT_SOURCE_DIR}/apps/llm.cpp)
  if(NOT sources OR NOT EXISTS ${PROJECT_SOURCE_DIR}/apps/llm.cpp)
    return()
  endif()
  llm_split(plain torch ${sources})
  set(depends llm_api llm_text llm_serving llm_training llm_data llm_tokenizer llm_model llm_hub llm_base)
  llm_plain_depends(plain_depends ${depends})
  llm_shared(llm_commands SOURCES ${plain} DEPENDS ${plain_depends})
  llm_shared(llm_torch_commands SOURCES ${torch} DEPENDS llm_commands ${depends})
  target_include_directories(llm_commands PUBLIC ${PROJECT_SOURCE_DIR})
  # g++ 12 sees overflows and uninitialised reads inside std::string (its bug 105651) that are not there.
  foreach(target llm_commands llm_torch_commands)
    target_compile_options(${target} PRIVATE $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized;-Wno-stringop-overflow;-Wno-array-bounds>)
  endforeach()
  if(LLM_PCH)
    target_precompile_headers(llm_torch_commands PRIVATE <ATen/ATen.h>)
  endif()
  add_executable(llm ${PROJECT_SOURCE_DIR}/apps/llm.cpp)
  target_link_libraries(llm PRIVATE llm_commands)
  add_dependencies(llm llm_torch_commands)
  set_target_properties(llm PROPERTIES OUTPUT_NAME ${LLM_BINARY_NAME} INSTALL_RPATH "$ORIGIN/../lib")
  install(TARGETS llm RUNTIME DESTINATION bin)
endfunction()

# llm_embed(target file function): the file as `std::string_view llm::api::<function>()` of the target.
function(llm_embed target file function)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/${file})
  file(READ ${PROJECT_SOURCE_DIR}/${file} text)
  set(made ${CMAKE_BINARY_DIR}/generated/${function}.cpp)
  file(CONFIGURE OUTPUT ${made} @ONLY CONTENT "// Made from ${file}.
#include \"serving/http/api/${function}.h\"

std::string_view llm::api::${function}() { return R\"embedded(@text@)embedded\"; }
")
  target_sources(${target} PRIVATE ${made})
endfunction()
