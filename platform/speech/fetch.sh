#!/usr/bin/env bash
# Installs the local speech recogniser: Moonshine tiny (English) and ONNX Runtime, out of their PyPI wheels, pinned and checked. Nothing of it is
# committed. They go to $GALEN_SPEECH_DIR, else .cache/speech of the checkout. Does nothing when all are there and whole.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
dir=${GALEN_SPEECH_DIR:-$here/../../.cache/speech}
sums=$here/assets.sha256

if [ "$(uname -s)-$(uname -m)" != Linux-x86_64 ]; then
  echo "fetch.sh: the pinned wheels are for Linux on x86_64; without them healthscribe takes transcripts only" >&2
  exit 0
fi
mkdir -p "$dir"
if (cd "$dir" && sha256sum --check --status "$sums" 2>/dev/null); then exit 0; fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fetch() { # package version platform python-version file…: files out of its wheel
  local package=$1 version=$2 platform=$3 python=$4
  shift 4
  python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --platform "$platform" --python-version "$python" --implementation "${IMPL:-py}" \
    --dest "$work" "$package==$version"
  python3 - "$work/${package//-/_}-$version"-*.whl "$dir" "$@" <<'PY'
import os, sys, zipfile
wheel, out, names = sys.argv[1], sys.argv[2], sys.argv[3:]
with zipfile.ZipFile(wheel) as z:
    for name in names:
        part = os.path.join(out, os.path.basename(name) + ".part")
        with z.open(name) as src, open(part, "wb") as dst:
            while b := src.read(1 << 20):
                dst.write(b)
        os.replace(part, part[:-5])
PY
}
got=yes
(fetch moonshine-voice 0.1.0 manylinux_2_34_x86_64 3.11 moonshine_voice/assets/tiny-en/{encoder_model.ort,decoder_model_merged.ort,tokenizer.bin} &&
  IMPL=cp fetch onnxruntime 1.32.0 manylinux_2_28_x86_64 3.11 onnxruntime/capi/libonnxruntime.so.1.32.0) || got=no
if [ $got = no ]; then
  echo "fetch.sh: the wheels cannot be had now; without them healthscribe takes transcripts only" >&2
  exit 0
fi
cd "$dir"
if ! sha256sum --check --quiet "$sums"; then
  cut -c67- "$sums" | xargs rm -f
  echo "fetch.sh: a file is not the one that was pinned" >&2
  exit 1
fi
