# Shared by the scripts beside this file; they source it from the project's root.

say() { echo "${0##*/}: $*" >&2; }

# Formatting is compared with one version's output: other versions differ in small things.
clang_format_version=14

# Sets `clang_format` to a clang-format of that version, or fails.
find_clang_format() {
  for clang_format in clang-format-$clang_format_version clang-format build/deps/clang-format/bin/clang-format; do
    "$clang_format" --version 2>/dev/null | grep -q "version $clang_format_version\." && return 0
  done
  return 1
}

# The project's own C sources and headers.
list_sources() { { find src include tests bench examples script -name '*.[ch]' 2>/dev/null || true; } | sort; }
