# cmake --install: program, libraries, header, pkg-config file, man page, licence. When oneDNN came from build/deps it
# is put into lib/plait and found there by relative run path, so that the installed tree outlives this directory.
if(NOT TARGET plait_internal)
  return()
endif()

set(private_libs "${OpenMP_C_FLAGS} -lm -lpthread -ldl")
if(dnnl_FOUND AND dnnl_DIR MATCHES "^${PLAIT_DEPS}/")
  get_filename_component(dnnl_lib "${dnnl_DIR}/../.." ABSOLUTE)
  file(GLOB dnnl_files "${dnnl_lib}/libdnnl.so*")
  install(FILES ${dnnl_files} DESTINATION "${CMAKE_INSTALL_LIBDIR}/plait")
  install(FILES "${dnnl_lib}/../share/doc/onednn/LICENSE" "${dnnl_lib}/../share/doc/onednn/THIRD-PARTY-PROGRAMS"
    DESTINATION "${CMAKE_INSTALL_DOCDIR}/onednn")
  string(APPEND private_libs " -L\${libdir}/plait -Wl,-rpath,\${libdir}/plait -ldnnl")
  set_target_properties(plait_shared PROPERTIES INSTALL_RPATH "\$ORIGIN/plait")
  if(TARGET plait)
    set_target_properties(plait PROPERTIES INSTALL_RPATH "\$ORIGIN/../${CMAKE_INSTALL_LIBDIR}/plait")
  endif()
elseif(dnnl_FOUND)
  string(APPEND private_libs " -ldnnl")
endif()

if(TARGET plait)
  install(TARGETS plait RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
endif()
install(TARGETS plait_shared LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}")
install(FILES "${static_library}" DESTINATION "${CMAKE_INSTALL_LIBDIR}")
install(FILES include/plait.h DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" OPTIONAL)
install(FILES docs/plait.1 DESTINATION "${CMAKE_INSTALL_MANDIR}/man1" OPTIONAL)
install(FILES LICENSE NOTICE DESTINATION "${CMAKE_INSTALL_DOCDIR}")

# The prefix is written relative to the .pc file, so that `cmake --install --prefix ANYWHERE` is right.
file(RELATIVE_PATH up "/x/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/x")
string(REGEX REPLACE "/$" "" up "${up}")
set(PC_PREFIX "\${pcfiledir}/${up}")
set(PC_LIBS_PRIVATE "${private_libs}")
configure_file(cmake/plait.pc.in plait.pc @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/plait.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
