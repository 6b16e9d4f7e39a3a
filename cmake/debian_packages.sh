# Sourced by the scripts that build: makes sure that Debian packages are installed.
#
# need_packages PACKAGE...  installs those that are missing where it may; otherwise prints the one line
# that would, and exits 69.

build_packages="g++ cmake ninja-build pkg-config libboost-dev libboost-program-options-dev
  libboost-filesystem-dev libhdf5-dev libsentencepiece-dev libdnnl-dev ocl-icd-opencl-dev libhwy-dev
  libminizip-dev libonig-dev libsqlite3-dev libssl-dev libutf8proc-dev libzstd-dev zlib1g-dev nlohmann-json3-dev libfmt-dev libspdlog-dev"

need_packages() {
  missing=""
  for package in "$@"; do
    dpkg-query -W -f '${Status}\n' "$package" 2>/dev/null | grep -q '^install ok installed' ||
      missing="$missing $package"
  done
  [ -z "$missing" ] && return 0
  if [ "$(id -u)" -ne 0 ]; then
    echo "packages are missing; install them with:" >&2
    echo "sudo apt-get install --no-install-recommends$missing" >&2
    exit 69
  fi
  echo "installing:$missing" >&2
  # shellcheck disable=SC2086 # a list of words
  { apt-get update -qq >&2 &&
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >&2; } ||
    { echo "apt-get failed: see above" >&2; exit 69; }
}
