#!/usr/bin/env bash
# Installs the ICD-10-CM tabular list (CDC/NCHS, public domain; April 2026) out of the PyPI wheel simple-icd-10-cm, pinned and checked. It is never
# committed. It goes to $GALEN_CODES_DIR, else .cache/codes of the checkout. Does nothing when it is there and whole.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
dir=${GALEN_CODES_DIR:-$here/../../.cache/codes}
sums=$here/codes.sha256
mkdir -p "$dir"
if (cd "$dir" && sha256sum --check --status "$sums" 2>/dev/null); then exit 0; fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if ! python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --dest "$work" simple-icd-10-cm==1.5.0; then
  echo "fetch.sh: the wheel cannot be had now; without it InferICD10CM is not available" >&2
  exit 0
fi
python3 - "$work"/simple_icd_10_cm-1.5.0-*.whl "$dir/icd10cm-tabular.xml" <<'PY'
import os, sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as z, open(sys.argv[2] + ".part", "wb") as out:
    out.write(z.read("simple_icd_10_cm/data/icd10c-tabular-April-1-2026.xml"))
os.replace(sys.argv[2] + ".part", sys.argv[2])
PY
cd "$dir"
if ! sha256sum --check --quiet "$sums"; then
  rm -f icd10cm-tabular.xml
  echo "fetch.sh: the code set is not the one that was pinned" >&2
  exit 1
fi
