# What others link: libplait.so and libplait.a. Both show only the plait_* functions that include/plait.h marks, so
# that the short internal names never meet a caller's own.

add_library(plait_shared SHARED $<TARGET_OBJECTS:plait_objects> ${isa_objects})
target_link_libraries(plait_shared PRIVATE plait_flags plait_dependencies)
target_link_options(plait_shared PRIVATE "-Wl,--version-script=${PROJECT_SOURCE_DIR}/cmake/plait.map")
set_target_properties(plait_shared PROPERTIES
  OUTPUT_NAME plait
  VERSION ${PROJECT_VERSION}
  SOVERSION 0
  LINK_DEPENDS "${PROJECT_SOURCE_DIR}/cmake/plait.map")

# The static library is one relocatable object in which every hidden symbol has been made local.
set(static_library "${PROJECT_BINARY_DIR}/libplait.a")
set(merged "${PROJECT_BINARY_DIR}/plait_merged.o")
add_custom_command(
  OUTPUT "${static_library}"
  COMMAND ${CMAKE_C_COMPILER} -r -nostdlib -o "${merged}" $<TARGET_OBJECTS:plait_objects> ${isa_objects}
  COMMAND ${CMAKE_OBJCOPY} --localize-hidden "${merged}"
  COMMAND ${CMAKE_COMMAND} -E rm -f "${static_library}"
  COMMAND ${CMAKE_AR} rcs "${static_library}" "${merged}"
  DEPENDS plait_objects $<TARGET_OBJECTS:plait_objects> ${isa_objects}
  COMMAND_EXPAND_LISTS
  COMMENT "Linking static library libplait.a with hidden internals")
add_custom_target(plait_static ALL DEPENDS "${static_library}")
