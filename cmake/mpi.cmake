# A module for each MPI whose compiler is found, from one source file: plait_mpi_openmpi.so, plait_mpi_mpich.so. The
# program itself needs none of them. Debian names the compilers mpicc.openmpi and mpicc.mpich; elsewhere mpicc is asked
# which it is.
if(NOT TARGET plait_internal)
  return()
endif()

find_program(PLAIT_MPICC_OPENMPI NAMES mpicc.openmpi)
find_program(PLAIT_MPICC_MPICH NAMES mpicc.mpich)
if(NOT PLAIT_MPICC_OPENMPI AND NOT PLAIT_MPICC_MPICH)
  find_program(PLAIT_MPICC NAMES mpicc)
  if(PLAIT_MPICC)
    execute_process(COMMAND ${PLAIT_MPICC} --showme:version RESULT_VARIABLE mpi_is_other OUTPUT_QUIET ERROR_QUIET)
    if(mpi_is_other EQUAL 0)
      set(PLAIT_MPICC_OPENMPI "${PLAIT_MPICC}")
    else()
      set(PLAIT_MPICC_MPICH "${PLAIT_MPICC}")
    endif()
  endif()
endif()

# Where it looks for modules of an installed plait, from bin.
set_source_files_properties(src/comm/module.c PROPERTIES COMPILE_DEFINITIONS PLAIT_LIBDIR="${CMAKE_INSTALL_LIBDIR}")

set(mpi_modules "")
function(plait_mpi_module name compiler)
  if(NOT compiler)
    message(STATUS "${name}: no mpicc, so no module for it")
    return()
  endif()
  set(module "${PROJECT_BINARY_DIR}/plait_mpi_${name}.so")
  add_custom_command(
    OUTPUT "${module}"
    COMMAND ${compiler} -std=c17 -O2 -fPIC -shared -fvisibility=hidden -Wall -Wextra
      -I "${PROJECT_SOURCE_DIR}/src" -o "${module}" "${PROJECT_SOURCE_DIR}/src/comm/mpi.c" -lm
    DEPENDS src/comm/mpi.c src/comm/mpi.h
    COMMENT "Building the module for ${name}")
  set(mpi_modules ${mpi_modules} "${module}" PARENT_SCOPE)
endfunction()
plait_mpi_module(openmpi "${PLAIT_MPICC_OPENMPI}")
plait_mpi_module(mpich "${PLAIT_MPICC_MPICH}")
if(mpi_modules)
  add_custom_target(plait_mpi ALL DEPENDS ${mpi_modules})
endif()
