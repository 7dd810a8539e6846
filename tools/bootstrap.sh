#!/usr/bin/env bash
# Installs what the Makefile's targets need.
#
#   tools/bootstrap.sh system run|test            system packages (Debian and its derivatives)
#   tools/bootstrap.sh venv FOLDER REQUIREMENT…   a virtual environment, whole or not at all
set -euo pipefail
PYTHON=${PYTHON:-python3}

say() { printf '\n== %s\n' "$*"; }
die() { printf 'error: %s\n' "$*" >&2; exit 2; }

check_python() {
  command -v "$PYTHON" >/dev/null || die "$PYTHON not found; install Python 3.11, 3.12 or 3.13, or name one: make PYTHON=…"
  "$PYTHON" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' ||
    die "$("$PYTHON" --version) is not supported; Python 3.11, 3.12 or 3.13 is needed: make PYTHON=…"
}

library() { # succeeds if the shared library is installed
  { ldconfig -p 2>/dev/null || /sbin/ldconfig -p 2>/dev/null; } | grep -F "$1" >/dev/null
}

missing_packages() {
  "$PYTHON" -c 'import ensurepip, venv' 2>/dev/null || echo python3-venv
  library libgomp.so.1 || echo libgomp1       # tblite
  library libXrender.so.1 || echo libxrender1 # RDKit's drawing needs this and libxext6
  library libXext.so.6 || echo libxext6
  if [ "$1" = test ]; then # OpenCL on the processor, which the tests use instead of a GPU
    library libOpenCL.so.1 || echo ocl-icd-libopencl1
    compgen -G '/etc/OpenCL/vendors/*.icd' >/dev/null || echo pocl-opencl-icd
  fi
}

system() {
  check_python
  local packages
  packages=$(missing_packages "$1" | xargs)
  if [ -z "$packages" ] || [ "${SYSTEM_PACKAGES:-install}" = skip ]; then return; fi
  if ! command -v apt-get >/dev/null; then
    say "This is not a Debian system: install the equivalents of these Debian packages: $packages"
  elif [ "$(id -u)" -ne 0 ]; then
    die "system packages are missing; run: sudo apt install --no-install-recommends $packages
       then start again (or continue without them: make SYSTEM_PACKAGES=skip …)"
  else
    say "Installing system packages: $packages"
    apt-get update -q
    # shellcheck disable=SC2086  # a list of words
    DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $packages
  fi
}

# FOLDER-installing marks an unfinished install. pip may leave a package half-written, so an unfinished install starts
# from the beginning. FOLDER/.ready, the Makefile's stamp, is made last.
venv() {
  local folder=$1
  local unfinished=$folder-installing
  shift
  check_python
  if [ -e "$unfinished" ] && [ -e "$folder" ]; then
    say "The last install into $folder was stopped; starting again"
    rm -rf -- "$folder"
  fi
  say "Installing into $folder (several minutes the first time): $*"
  touch "$unfinished"
  [ -x "$folder/bin/pip" ] || "$PYTHON" -m venv "$folder"
  "$folder/bin/pip" install --quiet --upgrade pip # Debian 12's pip takes longer to find the versions
  "$folder/bin/pip" install --no-compile --progress-bar off "$@"
  touch "$folder/.ready"
  rm "$unfinished"
}

cd "$(dirname "$0")/.."
case "${1:-}" in
  system | venv) "$@" ;;
  *) die "usage: tools/bootstrap.sh system run|test, or tools/bootstrap.sh venv FOLDER REQUIREMENT…" ;;
esac
