#!/usr/bin/env bash
# Measures the hot paths beside their peers and prints the rows of RESULTS.md. Peers come from Debian: orthanc, orthanc-dicomweb, openjph-tools, samtools.
set -euo pipefail
cd "$(dirname "$0")/.."
missing=()
for p in Orthanc:orthanc Orthanc:orthanc-dicomweb ojph_compress:openjph-tools samtools:samtools; do command -v "${p%%:*}" >/dev/null || missing+=("${p##*:}"); done
if [ ${#missing[@]} -gt 0 ]; then
  sudo=; [ "$(id -u)" = 0 ] || sudo=sudo
  $sudo apt-get update -qq && $sudo apt-get install -y -qq "${missing[@]}" orthanc-dicomweb
fi
export GALEN_BENCH=1 GALEN_BIN=${GALEN_BIN:-$PWD/bin/galen}
go test ./bench -count=1 -v -timeout 30m | grep -E '\||^(ok|FAIL|---)'
