# Warnings, hardening and sanitizers, as one interface target that every target of ours links.
add_library(hark_flags INTERFACE)
target_compile_definitions(hark_flags INTERFACE _GNU_SOURCE)
target_compile_options(hark_flags INTERFACE
  -Wall -Wextra -Wshadow -Wconversion -Wsign-conversion -Wstrict-prototypes -Wmissing-prototypes
  -Wold-style-definition -Wcast-qual -Wwrite-strings -Wpointer-arith -Wundef -Wvla -Walloca -Wformat=2
  -Wimplicit-fallthrough -Wswitch-enum -Wdouble-promotion -Wnull-dereference -Wredundant-decls -fno-common)
if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
  target_compile_options(hark_flags INTERFACE
    -Wduplicated-cond -Wduplicated-branches -Wlogical-op -Wjump-misses-init -Wcast-align=strict)
  if(NOT HARK_SANITIZE) # the room between variables that sanitizers add is not ours
    target_compile_options(hark_flags INTERFACE -Wstack-usage=16384)
  endif()
endif()
if(HARK_WERROR)
  target_compile_options(hark_flags INTERFACE -Werror)
endif()
if(HARK_SANITIZE)
  # With the checks in between, gcc no longer sees what it needs to know for this one.
  target_compile_options(hark_flags INTERFACE -Wno-null-dereference)
  target_compile_options(hark_flags INTERFACE -fsanitize=${HARK_SANITIZE} -fno-sanitize-recover=all
    -fno-omit-frame-pointer -O1)
  target_link_options(hark_flags INTERFACE -fsanitize=${HARK_SANITIZE})
else()
  target_compile_options(hark_flags INTERFACE -fstack-protector-strong -fstack-clash-protection
    -fcf-protection $<$<NOT:$<CONFIG:Debug>>:-U_FORTIFY_SOURCE$<SEMICOLON>-D_FORTIFY_SOURCE=2>)
  target_link_options(hark_flags INTERFACE -Wl,-z,relro,-z,now)
endif()
