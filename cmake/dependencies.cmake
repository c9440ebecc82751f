# plait_dependencies: the libraries plait stands on. All from the system, except that oneDNN 3 is also looked for under
# build/deps, where script/bootstrap puts it when the system has none.
find_package(PkgConfig REQUIRED)
find_package(OpenMP REQUIRED COMPONENTS C)
find_package(Threads REQUIRED)
pkg_check_modules(PCRE2 REQUIRED IMPORTED_TARGET libpcre2-8)
pkg_check_modules(UTF8PROC REQUIRED IMPORTED_TARGET libutf8proc)
pkg_check_modules(XXHASH REQUIRED IMPORTED_TARGET libxxhash)
pkg_check_modules(ZLIB REQUIRED IMPORTED_TARGET zlib)
pkg_check_modules(ZSTD REQUIRED IMPORTED_TARGET libzstd)

add_library(plait_dependencies INTERFACE)
target_link_libraries(plait_dependencies INTERFACE
  OpenMP::OpenMP_C Threads::Threads PkgConfig::PCRE2 PkgConfig::UTF8PROC PkgConfig::XXHASH PkgConfig::ZLIB
  PkgConfig::ZSTD m ${CMAKE_DL_LIBS})

set(PLAIT_DEPS "${PROJECT_SOURCE_DIR}/build/deps")
string(TOLOWER "${PLAIT_ONEDNN}" onednn_wanted)
if(onednn_wanted STREQUAL "auto" OR onednn_wanted)
  find_package(dnnl 3 CONFIG QUIET PATHS "${PLAIT_DEPS}/onednn")
  if(NOT dnnl_FOUND AND NOT onednn_wanted STREQUAL "auto")
    message(FATAL_ERROR "PLAIT_ONEDNN=on, but oneDNN 3 was not found (script/bootstrap installs it)")
  endif()
endif()
if(dnnl_FOUND)
  message(STATUS "oneDNN ${dnnl_VERSION}: ${dnnl_DIR}")
  target_link_libraries(plait_dependencies INTERFACE DNNL::dnnl)
  target_compile_definitions(plait_dependencies INTERFACE PLAIT_HAVE_ONEDNN)
else()
  message(STATUS "oneDNN: not used, plait's own kernels multiply matrices")
endif()
