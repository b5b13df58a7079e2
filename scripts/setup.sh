#!/usr/bin/env bash
# Installs what a bare Debian 12 lacks for one purpose: build, demo or test. Does nothing when all is there.
set -euo pipefail
purpose=${1:-build}

declare -A package=([gcc]=gcc [g++]=g++ [npm]=npm [python3]=python3 [curl]=curl [samtools]=samtools [flite]=flite [bcftools]=bcftools
  [tabix]=tabix [dcmdump]=dcmtk [opj_decompress]=libopenjp2-tools [strace]=strace [initdb]=postgresql [softhsm2-util]=softhsm2)
case $purpose in
  build) need="gcc g++ npm python3" ;;
  demo) need="gcc g++ npm python3 curl samtools flite" ;;
  test) need="gcc g++ npm python3 curl samtools flite bcftools tabix dcmdump opj_decompress strace initdb softhsm2-util" ;;
  *) echo "setup.sh: build, demo or test, not $purpose" >&2; exit 2 ;;
esac

missing=()
PATH="$PATH:$(echo /usr/lib/postgresql/*/bin | tr ' ' :)" # where Debian keeps PostgreSQL's programs
for tool in $need; do command -v "$tool" >/dev/null 2>&1 || missing+=("${package[$tool]}"); done
python3 -c 'import venv, ensurepip' 2>/dev/null || missing+=(python3-venv python3-pip)

if [ ${#missing[@]} -gt 0 ]; then
  echo "installing: ${missing[*]}"
  sudo=; [ "$(id -u)" = 0 ] || sudo=sudo
  export DEBIAN_FRONTEND=noninteractive
  $sudo apt-get update -qq
  $sudo apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi
go version >/dev/null || { echo "setup.sh: Go is not on the PATH" >&2; exit 1; }

# Foreign clients for the tests, in a virtual environment of the checkout.
if [ "$purpose" = test ]; then
  venv=.cache/venv
  if ! cmp -s test/clients/requirements.txt "$venv/requirements.txt"; then
    python3 -m venv --clear "$venv"
    "$venv/bin/pip" install -q --disable-pip-version-check -r test/clients/requirements.txt
    cp test/clients/requirements.txt "$venv/requirements.txt"
  fi
  if [ -f test/clients/js/package.json ] && ! cmp -s test/clients/js/package.json .cache/js/package.json; then
    mkdir -p .cache/js && cp test/clients/js/package.json .cache/js/
    (cd .cache/js && npm install --silent --no-audit --no-fund --no-package-lock)
  fi
  # A foreign S3 for the blob store's tests, which skip without it.
  versity=v1.8.0
  if [ ! -x .cache/bin/versitygw ] || [ "$(cat .cache/bin/versitygw.version 2>/dev/null)" != $versity ]; then
    if GOBIN="$PWD/.cache/bin" timeout 600 go install github.com/versity/versitygw/cmd/versitygw@$versity; then
      echo $versity >.cache/bin/versitygw.version
    else
      echo "versitygw $versity could not be installed: the tests of blobs on it skip" >&2
    fi
  fi
fi
