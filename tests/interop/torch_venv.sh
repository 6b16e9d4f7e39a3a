# Sourced by the scripts that compare with PyTorch.
#
# torch_venv PACKAGE...  makes $work, a scratch directory that goes at the end, and installs the packages
# from PyPI (gigabytes) into $venv, which stands in it, or is GIST_TORCH_VENV, which stays.

torch_venv() {
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  venv=${GIST_TORCH_VENV:-$work/venv}
  [ -x "$venv/bin/python" ] || python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check "$@"
}
