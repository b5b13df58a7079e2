#!/usr/bin/env bash
# Fetches the codec modules (WebAssembly) from npm into assets/, each pinned and checked. Does nothing when all are there and whole.
set -euo pipefail
cd "$(dirname "$0")"

if (cd assets && sha256sum --check --status ../assets.sha256 2>/dev/null); then exit 0; fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fetch() { # package version file
  (cd "$work" && npm pack --silent "$1@$2" >pack.name)
  tar xzf "$work/$(cat "$work/pack.name")" -C "$work" "package/dist/$3"
  cp "$work/package/dist/$3" "assets/$3.part" && mv "assets/$3.part" "assets/$3"
}
fetch @cornerstonejs/codec-openjph 2.4.11 openjphjs.wasm
fetch @cornerstonejs/codec-charls 1.2.7 charlswasm.wasm
fetch @cornerstonejs/codec-openjpeg 1.3.6 openjpegwasm.wasm
cd assets
if ! sha256sum --check --quiet ../assets.sha256; then
  rm -f ./*.wasm
  echo "fetch.sh: a codec is not the one that was pinned" >&2
  exit 1
fi
