#!/usr/bin/env bash
# Runs every Go test once and ends with the runner's counts.
set -uo pipefail
cd "$(dirname "$0")/.."
log=$(mktemp)
trap 'rm -f "$log"' EXIT
go test -timeout 25m -count=1 -v -p 2 ./... >"$log" 2>&1
status=$?
grep -E '^(---|    ---) FAIL|^FAIL|^panic:|^ok |_test.go:[0-9]+:' "$log" | grep -v '^?' || true
if [ $status -ne 0 ]; then
  echo "--- the end of the log"
  grep -B2 -A40 -m3 -E '^panic:|^--- FAIL|build failed|cannot find' "$log" | tail -150
fi
passed=$(grep -cE '^--- PASS' "$log")
failed=$(grep -cE '^--- FAIL' "$log")
skipped=$(grep -cE '^--- SKIP' "$log")
grep -E -A1 '^--- SKIP' "$log" | grep -E '_test.go' | sed 's/^ *//' | sort | uniq -c | sort -rn | head -20
echo "$passed passed, $failed failed, $skipped skipped"
exit $status
