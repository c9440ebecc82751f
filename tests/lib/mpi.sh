# For tests under a launcher: . "$TESTS/lib/mpi.sh", after lib/cli.sh. Every MPI that plait has a module for and whose
# mpirun is here is in `flavours`, under a sanitizer one of them; `mpirun FLAVOUR N COMMAND...` starts ranks.

export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
export OMPI_MCA_hwloc_base_binding_policy=none OMPI_MCA_btl_base_warn_component_unused=0

# MPI's libraries leave memory behind, from places that the leak sanitizer cannot name.
[ -z "${PLAIT_SANITIZE:-}" ] || export ASAN_OPTIONS="${ASAN_OPTIONS:-}:detect_leaks=0"

launcher() {
  case $1 in
    openmpi) command -v mpirun.openmpi || { command -v mpirun >/dev/null && mpirun --version | grep -q 'Open MPI' && command -v mpirun; } ;;
    mpich) command -v mpirun.mpich || { command -v mpiexec.hydra; } ;;
  esac
}

flavours=
for flavour in openmpi mpich; do
  if [ ! -e "${PLAIT%/*}/plait_mpi_$flavour.so" ]; then
    echo "no module for $flavour: not tested"
  elif [ -z "$(launcher $flavour)" ]; then
    echo "no mpirun of $flavour: not tested"
  else
    flavours="$flavours $flavour"
  fi
done
[ -n "$flavours" ] || exit 77
[ -z "${PLAIT_SANITIZE:-}" ] || read -r flavours _ <<<"$flavours"

mpirun() {
  local flavour=$1 ranks=$2
  shift 2
  timeout 120 "$(launcher $flavour)" -n "$ranks" "$@"
}

# What launchers say themselves of ranks that failed is theirs.
own_lines() { grep '^plait: \|^hint: ' "$1" || true; }
