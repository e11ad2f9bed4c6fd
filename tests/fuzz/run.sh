#!/bin/sh
# run.sh <seconds>: runs each fuzz target so long, from its seeds and what earlier runs kept in build/fuzz/corpus, and prints
# executions, executions per second, edges covered and findings. run.sh short: a few inputs, always the same, for `make test`.
# FUZZ_TARGETS: only these, e.g. "index record". Exit status 1 when something was found; its input is in build/fuzz/findings.
set -eu
cd "$(dirname "$0")/../.."
time=${1:-60}
sh tests/fuzz/exports.sh
sh tests/fuzz/build.sh
work=build/fuzz failed=0
mkdir -p $work/findings
for program in $work/fuzz_*; do
  target=${program#"$work"/fuzz_}
  case " ${FUZZ_TARGETS:-$target} " in *" $target "*) ;; *) continue ;; esac
  seeds=$work/seeds/$target corpus=$work/corpus/$target log=$work/$target.log
  rm -rf "$seeds"
  mkdir -p "$corpus"
  sh tests/fuzz/seeds.sh "$seeds"
  options="-max_len=300 -len_control=0 -timeout=20 -print_final_stats=1 -artifact_prefix=$work/findings/$target-"
  if [ "$time" = short ]; then
    case $target in allocator) runs=20000 ;; weights | partition) runs=1000 ;; *) runs=300 ;; esac
    rm -rf "$work/short"
    mkdir "$work/short"
    set -- -seed=1 -runs=$runs "$work/short" "$seeds"
  else
    set -- -max_total_time="$time" "$corpus" "$seeds"
  fi
  found=none
  if ! "$program" $options "$@" >"$log" 2>&1; then
    failed=1
    found=$(sed -n 's/.*Test unit written to //p' "$log" | head -1)
    found="${found:-see $log} ($(grep -m1 -oE 'does not hold.*|runtime error:.*|ERROR: [A-Za-z]+Sanitizer.*|ERROR: libFuzzer: [a-z -]*' "$log" || echo "see $log"))"
  fi
  sed -n 's/^stat::number_of_executed_units: *//p' "$log" >$work/executions
  printf '%-10s %10s executions %7s a second %5s edges   findings: %s\n' "$target" "$(cat $work/executions)" "$(sed -n 's/^stat::average_exec_per_sec: *//p' "$log")" "$(sed -n 's/.* cov: \([0-9]*\).*/\1/p' "$log" | tail -1)" "$found"
done
exit $failed
