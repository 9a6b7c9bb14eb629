# What the core stands on. docs/decisions/0002-dependencies.md says why each is here.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
pkg_check_modules(UV REQUIRED IMPORTED_TARGET libuv>=1.38)
pkg_search_module(LUA REQUIRED IMPORTED_TARGET lua5.4 lua-5.4 lua54 lua>=5.4)
pkg_check_modules(OPENSSL REQUIRED IMPORTED_TARGET openssl>=3.0)
include(FindLlhttp)

find_path(WSLAY_INCLUDE_DIR wslay/wslay.h REQUIRED)
find_library(WSLAY_LIBRARY wslay REQUIRED)
find_path(UTHASH_INCLUDE_DIR uthash.h REQUIRED)

# Headers of vendors are system headers: their warnings are not ours. Lua is linked by the host only.
add_library(hark_vendors INTERFACE)
target_include_directories(hark_vendors SYSTEM INTERFACE
  ${UTHASH_INCLUDE_DIR} ${WSLAY_INCLUDE_DIR} ${LUA_INCLUDE_DIRS})
target_link_libraries(hark_vendors INTERFACE
  PkgConfig::UV PkgConfig::OPENSSL ${WSLAY_LIBRARY} llhttp::llhttp)

if(HARK_URING)
  pkg_check_modules(URING IMPORTED_TARGET liburing>=2.2)
  if(URING_FOUND)
    target_compile_definitions(hark_vendors INTERFACE HARK_WITH_URING=1)
    target_link_libraries(hark_vendors INTERFACE PkgConfig::URING)
  endif()
endif()
