#!/usr/bin/env bash
# Fetches the pinned third-party parts that are not Go, each by its own script, each checked against a SHA-256 and skipped when present.
set -euo pipefail
cd "$(dirname "$0")/.."
for script in standard/*/fetch.sh platform/*/fetch.sh; do
  [ -f "$script" ] || continue
  echo "assets: $script"
  bash "$script"
done
