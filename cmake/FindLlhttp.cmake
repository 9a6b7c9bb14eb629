# Target llhttp::llhttp: the system's library where there is one, else the C sources that Debian's
# node-llhttp ships, compiled here. -DHARK_LLHTTP_DIR=DIR names a copy of the sources elsewhere.
set(HARK_LLHTTP_DIR "" CACHE PATH "Directory with llhttp.c, api.c, http.c")
pkg_check_modules(LLHTTP QUIET IMPORTED_TARGET libllhttp)
if(LLHTTP_FOUND AND NOT HARK_LLHTTP_DIR)
  add_library(llhttp::llhttp ALIAS PkgConfig::LLHTTP)
  return()
endif()
find_path(LLHTTP_INCLUDE_DIR llhttp.h
  HINTS "${HARK_LLHTTP_DIR}" "${HARK_LLHTTP_DIR}/../include" /usr/share/include/llhttp
  PATH_SUFFIXES llhttp REQUIRED)
find_path(LLHTTP_SOURCE_DIR llhttp.c HINTS "${HARK_LLHTTP_DIR}" /usr/share/llhttp REQUIRED)
add_library(llhttp STATIC
  "${LLHTTP_SOURCE_DIR}/llhttp.c" "${LLHTTP_SOURCE_DIR}/api.c" "${LLHTTP_SOURCE_DIR}/http.c")
target_compile_options(llhttp PRIVATE -w -O2)
target_include_directories(llhttp SYSTEM PUBLIC "${LLHTTP_INCLUDE_DIR}")
set_target_properties(llhttp PROPERTIES POSITION_INDEPENDENT_CODE ON C_VISIBILITY_PRESET hidden)
add_library(llhttp::llhttp ALIAS llhttp)
