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

# The project's own C sources and headers, tracked or not yet.
list_sources() {
  git ls-files -co --exclude-standard -- 'src/*.[ch]' 'include/*.h' 'tests/*.[ch]' 'bench/*.[ch]' \
    'examples/*.[ch]' 'script/*.[ch]' | sort -u | while IFS= read -r file; do [ ! -e "$file" ] || echo "$file"; done
}
