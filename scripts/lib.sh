# Shared by scripts/test and scripts/demo, which set `script`, the name before each line, and then source this.
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export LC_ALL=C.UTF-8
# Clones at different places share what ccache holds.
export CCACHE_BASEDIR=$root CCACHE_NOHASHDIR=1
step="start"

say() { echo "[$script ${SECONDS}s] $*"; }

# Starts a step; a failure names it.
begin() {
  step=$*
  say "$step"
}

# The last line of a script that fails.
report_failure() {
  local code=$?
  if [ "$code" -ne 0 ]; then
    echo "scripts/$script: FAILED: $step (exit code $code, $SECONDS s)"
  fi
}
trap report_failure EXIT

# The lines of a list, without comments.
list() { sed -e 's/#.*//' -e 's/[[:space:]]*$//' -e '/^$/d' "$root/scripts/$1"; }

# Installs the Debian packages of packages.txt that are missing.
ensure_packages() {
  begin "packages"
  if ! command -v dpkg-query >/dev/null; then
    say "not a Debian system: what scripts/packages.txt lists must be there already"
    return
  fi
  local missing=() package
  for package in $(list packages.txt); do
    case $package in
      # Debian's packages conflict with Node.js from elsewhere, so one that is there is left alone.
      nodejs) if command -v node >/dev/null; then continue; fi ;;
      npm) if command -v npm >/dev/null; then continue; fi ;;
    esac
    if [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" != installed ]; then
      missing+=("$package")
    fi
  done
  if [ ${#missing[@]} -eq 0 ]; then
    return
  fi
  begin "installing ${missing[*]}"
  local as_root=()
  if [ "$(id -u)" -ne 0 ]; then
    as_root=(sudo)
  fi
  "${as_root[@]}" apt-get -q -q update >/dev/null
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -q -y \
    --no-install-recommends install "${missing[@]}" >/dev/null
}

# Runs "$@" unless it has run before with the same list of packages. The mark lies in the folder it fills.
once_per_list() {
  local list=$root/scripts/$1 mark=$2/.installed
  shift 2
  if ! cmp -s "$list" "$mark"; then
    "$@"
    cp "$list" "$mark"
  fi
}

install_python_packages() {
  begin "Python packages in build/venv"
  python3 -m venv --clear "$root/build/venv"
  "$root/build/venv/bin/python" -m pip install --quiet --disable-pip-version-check -r "$root/scripts/python-packages.txt"
}

install_node_packages() {
  begin "Node.js packages in build/node"
  rm -rf "$root/build/node"
  mkdir -p "$root/build/node"
  # shellcheck disable=SC2046
  npm install --prefix "$root/build/node" --silent --no-audit --no-fund --ignore-scripts --omit=optional \
    $(list node-packages.txt)
}

# Installs what the tests' scripts import.
ensure_script_packages() {
  once_per_list python-packages.txt "$root/build/venv" install_python_packages
  once_per_list node-packages.txt "$root/build/node" install_node_packages
}

# Configures and builds a preset: build_preset preset [target…]
build_preset() {
  local preset=$1
  shift
  begin "$preset: configure"
  (cd "$root" && cmake --preset "$preset" -DSTELE_PYTHON="$root/build/venv/bin/python" >"$root/build/$preset.log" 2>&1) ||
    { cat "$root/build/$preset.log"; return 1; }
  begin "$preset: build"
  (cd "$root" && cmake --build --preset "$preset" -j "$(nproc)" ${1:+--target "$@"}) | build_progress "$preset"
}

# Passes on what a build says, and of ninja's steps one line every 10 seconds.
build_progress() {
  local line next=$((SECONDS + 10))
  while IFS= read -r line; do
    if [[ $line =~ ^\[([0-9]+/[0-9]+)\] ]]; then
      if [ "$SECONDS" -ge "$next" ]; then
        say "$1: build ${BASH_REMATCH[1]}"
        next=$((SECONDS + 10))
      fi
    else
      echo "$line"
    fi
  done
}
