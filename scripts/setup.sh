# shellcheck shell=bash
# Set-up that quickstart.sh and test.sh share; source it, then call set_up and build TARGET... .
# It installs the Debian packages that are missing (or prints the one line that does), finds LibTorch, and configures build/.
# Nothing is fetched or built twice: a second call takes about a second.
#
# LibTorch, first found wins: LLM_TORCH_DIR or CMAKE_PREFIX_PATH, the folder an earlier call used, an installed Python torch
# of at least 2.11, else `pip install torch==2.13.0` into build/venv. pip's own variables (PIP_INDEX_URL and the like) choose
# where that comes from and whether it is a CPU or a CUDA build.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root" || exit 1
preset=release
build_dir=$root/build  # the preset's
venv=$root/build/venv
torch_release=2.13.0
torch_oldest=2.11
strict=OFF
clock_start=$SECONDS

say() { printf '\n== %s\n' "$*" >&2; }
give_up() {  # exit code, message, hint
  printf 'setup: error: %s\n' "$2" >&2
  if [ -n "$3" ]; then printf 'hint: %s\n' "$3" >&2; fi
  exit "$1"
}

# --- Debian packages -------------------------------------------------------------------------------------------------------

libraries="libboost-dev libcurl4-openssl-dev libedit-dev libfmt-dev libgtest-dev libpcre2-dev libsentencepiece-dev libssl-dev libutf8proc-dev libyaml-cpp-dev libzstd-dev nlohmann-json3-dev"

missing_packages() {
  local needed=() package
  command -v cmake > /dev/null || needed+=(cmake)
  command -v ninja > /dev/null || needed+=(ninja-build)
  command -v g++ > /dev/null || command -v "${CXX:-c++}" > /dev/null || needed+=(g++)
  if [ -z "$torch_dir" ]; then  # LibTorch will come from pip
    python3 -c 'import venv, ensurepip' 2> /dev/null || needed+=(python3-venv)
    [ -e /etc/ssl/certs/ca-certificates.crt ] || needed+=(ca-certificates)
  fi
  for package in $libraries; do
    dpkg-query -W -f '${db:Status-Status}' "$package" 2> /dev/null | grep -q '^installed' || needed+=("$package")
  done
  echo "${needed[@]}"
}

install_packages() {
  if ! command -v dpkg-query > /dev/null; then
    say "This is not Debian or Ubuntu: the configure step names what is missing"
    return
  fi
  local missing as_root=()
  missing=$(missing_packages)
  [ -n "$missing" ] || return 0
  if [ "$(id -u)" != 0 ]; then
    if command -v sudo > /dev/null && sudo -n true 2> /dev/null; then
      as_root=(sudo -n)
    else
      printf 'setup: these packages are missing; run this line, then start again:\n  sudo apt-get install -y --no-install-recommends %s\n' "$missing" >&2
      exit 2
    fi
  fi
  say "Installing $missing"
  local apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300)
  "${apt[@]}" update >&2 || printf 'setup: the package lists could not all be refreshed; trying with those at hand\n' >&2
  # shellcheck disable=SC2086  # a list of words
  "${apt[@]}" install -y --no-install-recommends $missing > "$build_dir/packages.log" 2>&1 ||
    { tail -15 "$build_dir/packages.log" >&2; give_up 2 "apt-get could not install the packages" "the whole output is in $build_dir/packages.log"; }
}

# --- LibTorch --------------------------------------------------------------------------------------------------------------

# Prints MAJOR.MINOR of the LibTorch in a folder; fails where there is none.
torch_version() {
  [ -e "$1/lib/libtorch_cpu.so" ] || return 1
  local header=$1/include/torch/headeronly/version.h
  [ -e "$header" ] || header=$1/include/torch/csrc/api/include/torch/version.h
  sed -n -E 's/^#define TORCH_VERSION_(MAJOR|MINOR) ([0-9]+).*/\2/p' "$header" 2> /dev/null | paste -sd. | grep .
}

new_enough() { [ "$(printf '%s\n%s\n' "$torch_oldest" "$1" | sort -V | head -1)" = "$torch_oldest" ]; }

given_torch() {
  local prefix candidate
  if [ -n "$LLM_TORCH_DIR" ]; then
    torch_version "$LLM_TORCH_DIR" > /dev/null || give_up 2 "LLM_TORCH_DIR: no LibTorch in '$LLM_TORCH_DIR'" "it must hold include/ and lib/libtorch_cpu.so"
    (cd "$LLM_TORCH_DIR" && pwd)
    return
  fi
  local -a prefixes
  IFS=':;' read -r -a prefixes <<< "$CMAKE_PREFIX_PATH"
  for prefix in "${prefixes[@]}"; do
    for candidate in "$prefix" "$prefix/../.." "$prefix/torch"; do
      if torch_version "$candidate" > /dev/null; then (cd "$candidate" && pwd); return; fi
    done
  done
}

find_torch() {
  local candidate version
  torch_dir=$(given_torch) || exit $?
  if [ -z "$torch_dir" ] && [ -e "$root/build/CMakeCache.txt" ]; then
    candidate=$(sed -n 's/^LLM_TORCH_DIR:[A-Z]*=//p' "$root/build/CMakeCache.txt")
    if torch_version "$candidate" > /dev/null; then torch_dir=$candidate; fi
  fi
  for candidate in python3 "$venv/bin/python3"; do
    if [ -n "$torch_dir" ] || ! command -v "$candidate" > /dev/null; then continue; fi
    candidate=$("$candidate" -c 'import importlib.util as u; s = u.find_spec("torch"); print(s.submodule_search_locations[0] if s else "")' 2> /dev/null)
    version=$(torch_version "$candidate") && new_enough "$version" && torch_dir=$candidate
  done
  if [ -n "$torch_dir" ]; then
    version=$(torch_version "$torch_dir")
    new_enough "$version" || give_up 2 "LibTorch $version in '$torch_dir' is too old" "$torch_oldest or newer is needed"
  fi
}

fetch_torch() {
  [ -z "$torch_dir" ] || return 0
  say "Fetching LibTorch: pip install torch==$torch_release into build/venv"
  python3 -m venv "$venv" >&2 || give_up 2 "python3 cannot make a virtual environment in $venv" "install python3-venv, or give LLM_TORCH_DIR"
  "$venv/bin/python3" -m pip install --disable-pip-version-check --no-compile --progress-bar off "torch==$torch_release" >&2 ||
    give_up 2 "pip could not install torch==$torch_release" "give a LibTorch of your own: LLM_TORCH_DIR=<folder with include/ and lib/> $0"
  find_torch
  [ -n "$torch_dir" ] || give_up 2 "pip installed torch, but its lib/libtorch_cpu.so was not found in $venv" ""
}

# --- build -----------------------------------------------------------------------------------------------------------------

configure() {
  local cache=$build_dir/CMakeCache.txt
  if [ -e "$build_dir/build.ninja" ] && grep -qxF "LLM_TORCH_DIR:PATH=$torch_dir" "$cache" && grep -qx "LLM_WERROR:BOOL=$strict" "$cache"; then return; fi
  say "Configuring with LibTorch $(torch_version "$torch_dir") in $torch_dir"
  cmake --preset "$preset" -DLLM_TORCH_DIR:PATH="$torch_dir" -DLLM_WERROR:BOOL=$strict > "$build_dir/configure.log" 2>&1 ||
    { tail -20 "$build_dir/configure.log" >&2; give_up 2 "the configure step failed" "the whole output is in $build_dir/configure.log"; }
}

set_up() {
  mkdir -p "$build_dir" || give_up 4 "cannot write $build_dir" ""
  find_torch
  install_packages
  fetch_torch
  configure
  setup_seconds=$((SECONDS - clock_start))
}

# One compiler at a time per 3 GB of memory: a unity unit with ATen in it takes about 2.
build_jobs() {
  local cores memory_gb
  cores=$(nproc)
  memory_gb=$(awk '/^MemTotal/ {print int($2 / 1048576)}' /proc/meminfo)
  echo $((memory_gb / 3 < 1 ? 1 : memory_gb / 3 < cores ? memory_gb / 3 : cores))
}

build() {
  local start=$SECONDS
  say "Building ($*) with $(build_jobs) jobs into $build_dir"
  cmake --build "$build_dir" --parallel "$(build_jobs)" --target "$@" >&2 || give_up 1 "the build failed" ""
  build_seconds=$((SECONDS - start))
}
