#!/usr/bin/env bash
# Fuzzes every target, one after the other on one core, in rounds, those that had least first, until each has had its CPU time.
#   scripts/fuzz.sh [--time 10m] [--round 60s] [--list] [PATTERN]
# PATTERN keeps the targets whose "folder Name" matches. What was found stays in .cache/fuzz between runs: the corpus and totals.tsv (folder, target, CPU
# seconds, executions, crashes), so that a run that was cut short goes on where it was; remove the folder to begin anew. A crashing input is written to the
# package's testdata/fuzz, where it becomes a regression case; the target is left alone for the rest of the run. Exit 1 when one crashed or hung.
set -uo pipefail
cd "$(dirname "$0")/.."
time=10m round=60s pattern=. list=
while [ $# -gt 0 ]; do
  case $1 in
    --time) time=$2; shift ;;
    --round) round=$2; shift ;;
    --list) list=1 ;;
    -*) echo "fuzz.sh: $1 is unknown; see the head of this script" >&2; exit 2 ;;
    *) pattern=$1 ;;
  esac
  shift
done

seconds() {
  case $1 in
    *h) echo $((${1%h} * 3600)) ;;
    *m) echo $((${1%m} * 60)) ;;
    *) echo "${1%s}" ;;
  esac
}

targets() {
  git ls-files -co --exclude-standard '*_test.go' | xargs grep -ohHE '^func Fuzz[A-Za-z0-9_]*' | sed -E 's|^(.*)/[^/]*:func (.*)$|\1 \2|' | sort | grep -E -- "$pattern"
}

if [ -n "$list" ]; then
  targets
  exit
fi

state=.cache/fuzz
mkdir -p $state/bin $state/corpus
touch $state/totals.tsv
want=$(seconds "$time") slice=$(seconds "$round") failed=0
declare -A crashed built

spent() { awk -F'\t' -v d="$1" -v t="$2" '$1==d && $2==t {s+=$3} END {printf "%d", s}' $state/totals.tsv; }

# one fuzzes one target for a slice and notes what it cost. Inputs that are new are hardly made smaller: by default that takes a minute each, and with large seeds
# nothing else is done.
one() {
  local dir=$1 target=$2 bin=$PWD/$state/bin/${1//\//_} log=$PWD/$state/log execs cpu bad=0
  if [ -z "${built[$dir]:-}" ]; then
    go test -c -fuzz=. -o "$bin" "./$dir" >"$log" 2>&1 || { echo "FAIL $dir does not build"; cat "$log"; failed=1 crashed["$dir $target"]=1; return; }
    built[$dir]=1
  fi
  export TIMEFORMAT='%U %S'
  cpu=$({ time (cd "$dir" && GOMAXPROCS=1 timeout -k 10 $((slice + 120)) "$bin" -test.run='^$' -test.fuzz="^$target\$" -test.fuzztime="${slice}s" -test.parallel=1 -test.fuzzminimizetime=20x -test.fuzzcachedir="$OLDPWD/$state/corpus/$dir" >"$log" 2>&1); } 2>&1 | awk '{printf "%.1f", $1+$2}')
  execs=$(grep -oE 'execs: [0-9]+' "$log" | tail -1 | grep -oE '[0-9]+')
  if ! tail -1 "$log" | grep -q '^PASS'; then
    bad=1 failed=1
    crashed["$dir $target"]=1
    echo "FAIL $dir $target"
    cat "$log"
  fi
  if [ "${execs:-0}" = 0 ]; then
    echo "FAIL $dir $target did nothing: there was no time, or its seeds are the test data of \$GALEN_TEST_DATA or ../shared/data"
    failed=1
    crashed["$dir $target"]=1
    return
  fi
  printf '%s\t%s\t%s\t%s\t%s\n' "$dir" "$target" "$cpu" "${execs:-0}" "$bad" >>$state/totals.tsv
}

more=1
while [ $more = 1 ]; do
  more=0
  while read -r dir target; do
    [ -z "${crashed["$dir $target"]:-}" ] || continue
    [ "$(spent "$dir" "$target")" -lt "$want" ] || continue
    more=1
    one "$dir" "$target"
  done < <(targets | while read -r dir target; do echo "$(spent "$dir" "$target") $dir $target"; done | sort -n | cut -d' ' -f2-)
done

awk -F'\t' '{k=$1" "$2; if (!(k in c)) n++; c[k]+=$3; e[k]+=$4; b+=$5} END {for (k in c) {printf "%-50s %6.1f min %12d\n", k, c[k]/60, e[k]; s+=c[k]; x+=e[k]}; printf "%d targets, %.0f CPU minutes, %d executions, %d crashes\n", n, s/60, x, b}' $state/totals.tsv | sort
exit $failed
