# The fast kernels: every src/cpu/*.c is compiled once per instruction set, with ISA_NAME defined to base, avx2 or avx512
# (src/cpu/isa.h), except kernels.c, machine.c, onednn.c and ref_*.c. Everything inside is static; a file exports kernel
# lists whose names end in ISA_NAME, and the program chooses among them when it starts. The base set is what every
# processor of the architecture has.
file(GLOB isa_sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/src/cpu/*.c")
list(FILTER isa_sources EXCLUDE REGEX "/(kernels|machine|onednn|ref_[^/]*)\\.c$")
set(isa_names base)
set(isa_flags_base "")
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
  list(APPEND isa_names avx2 avx512)
  set(isa_flags_avx2 -mavx2 -mfma -mf16c)
  set(isa_flags_avx512 -mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma -mf16c -mprefer-vector-width=512)
endif()

# Optimised in a debug build too, or its tests would take minutes; less so under a sanitizer, which would take them to
# compile.
set(isa_optimise -O3)
if(PLAIT_SANITIZE)
  set(isa_optimise -O1)
  if(PLAIT_FUZZ) # clang takes minutes to optimise sanitized vectors, and what is fuzzed runs no kernel
    set(isa_optimise -O0)
  endif()
endif()

# Puts the objects of every instruction set into the list `result`.
function(plait_add_isa_objects result)
  set(objects "")
  if(isa_sources)
    foreach(name IN LISTS isa_names)
      add_library(plait_isa_${name} OBJECT ${isa_sources})
      set_target_properties(plait_isa_${name} PROPERTIES POSITION_INDEPENDENT_CODE ON)
      target_link_libraries(plait_isa_${name} PRIVATE plait_flags plait_dependencies)
      target_compile_definitions(plait_isa_${name} PRIVATE ISA_NAME=${name})
      target_compile_options(plait_isa_${name} PRIVATE ${isa_optimise} -fno-trapping-math ${isa_flags_${name}})
      list(APPEND objects $<TARGET_OBJECTS:plait_isa_${name}>)
    endforeach()
  endif()
  set(${result} ${objects} PARENT_SCOPE)
endfunction()
