# plait_flags: what every file of the project is compiled with.
#
# Never -ffast-math and never -march=native: a result does not depend on the machine that compiled the program.
# -ffp-contract=off keeps a * b + c two roundings unless the source says fma.
set(CMAKE_C_STANDARD 17)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_C_FLAGS_RELEASE "-O2 -g -DNDEBUG")
set(CMAKE_C_FLAGS_DEBUG "-O1 -g")

add_library(plait_flags INTERFACE)
target_include_directories(plait_flags INTERFACE "${PROJECT_SOURCE_DIR}/include" "${PROJECT_SOURCE_DIR}/src")
target_compile_definitions(plait_flags INTERFACE _GNU_SOURCE PLAIT_BUILD_VERSION="${PROJECT_VERSION}")
target_compile_options(plait_flags INTERFACE
  -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition -Wvla -Wundef
  -Wwrite-strings -Wpointer-arith -Wformat=2 -Wimplicit-fallthrough -Wcast-align -Wredundant-decls
  -Wno-unused-parameter -Wno-missing-field-initializers
  -ffp-contract=off -fno-math-errno -fno-strict-aliasing
  -fstack-protector-strong
  "-ffile-prefix-map=${PROJECT_SOURCE_DIR}/=")
target_link_options(plait_flags INTERFACE -Wl,-z,relro,-z,now -Wl,--as-needed)

if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
  target_compile_options(plait_flags INTERFACE -Wlogical-op -Wduplicated-cond)
endif()
if(PLAIT_WERROR)
  target_compile_options(plait_flags INTERFACE -Werror)
endif()

if(PLAIT_SANITIZE)
  target_compile_options(plait_flags INTERFACE
    "-fsanitize=${PLAIT_SANITIZE}" -fno-sanitize-recover=all -fno-omit-frame-pointer)
  if(CMAKE_C_COMPILER_ID STREQUAL "GNU") # takes a struct's first member for the whole of it in sanitized code
    target_compile_options(plait_flags INTERFACE -Wno-stringop-overread)
  endif()
  # GCC 12 puts vectors of 64 bytes at any multiple of 32 in the stack it makes to notice use after return.
  if(CMAKE_C_COMPILER_ID STREQUAL "GNU" AND PLAIT_SANITIZE MATCHES "address")
    target_compile_options(plait_flags INTERFACE --param=asan-use-after-return=0)
  endif()
  target_link_options(plait_flags INTERFACE "-fsanitize=${PLAIT_SANITIZE}")
elseif(CMAKE_BUILD_TYPE STREQUAL "Release")
  target_compile_options(plait_flags INTERFACE -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
endif()
if(PLAIT_FUZZ)
  target_compile_options(plait_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
