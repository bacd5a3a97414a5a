# What `cmake --install BUILD --prefix P` puts where, so that P may be moved afterwards:
#   bin/llm                the program
#   lib/                   its libraries; each finds the others beside itself, and LibTorch where it was at build time
#   include/llm/           the headers of llm/language_model.h, which is what C++ programs include
#   lib/cmake/llm/         find_package(llm), which gives the target llm::llm
#   share/doc/llm/LICENSE
# The libraries and the program say so themselves (libraries.cmake); here is what belongs to other programs' builds. docs/cpp.md tells their side.
include(CMakePackageConfigHelpers)

# Public headers include each other by their path below include/llm, as in lib/; only language_model.h has moved to the top.
install(FILES LICENSE DESTINATION share/doc/llm)
install(FILES lib/text/language_model.h DESTINATION include/llm)
foreach(header serving/generation_config.h serving/inference_config.h base/error.h)
  get_filename_component(folder ${header} DIRECTORY)
  install(FILES lib/${header} DESTINATION include/llm/${folder})
endforeach()

# What libllm_text.so is linked with, for the linker of others: all of it is installed.
set(llm_linked "")
set(llm_queue llm_text)
while(llm_queue)
  list(POP_FRONT llm_queue target)
  get_target_property(linked ${target} LINK_LIBRARIES)
  foreach(other ${linked})
    if(TARGET ${other} AND NOT "${other}" IN_LIST llm_linked)
      get_target_property(type ${other} TYPE)
      if(type STREQUAL SHARED_LIBRARY)
        list(APPEND llm_linked ${other})
        list(APPEND llm_queue ${other})
      endif()
    endif()
  endforeach()
endwhile()
list(TRANSFORM llm_linked REPLACE "(.+)" "lib\\1.so" OUTPUT_VARIABLE LLM_LINKED_LIBRARIES)

set(llm_package ${CMAKE_BINARY_DIR}/generated/package)
configure_package_config_file(cmake/llm-config.cmake.in ${llm_package}/llm-config.cmake INSTALL_DESTINATION lib/cmake/llm)
configure_file(cmake/llm-targets.cmake.in ${llm_package}/llm-targets.cmake @ONLY)
write_basic_package_version_file(${llm_package}/llm-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${llm_package}/llm-config.cmake ${llm_package}/llm-config-version.cmake ${llm_package}/llm-targets.cmake DESTINATION lib/cmake/llm)
