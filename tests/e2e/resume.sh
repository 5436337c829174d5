#!/bin/bash
# kill -9 at random moments of runs that fetch, publish and record, at any time between none and all that one takes, and `resume` after each: in the end
# the results are those of a run that nobody touched, each once, and nothing is left behind. ASSAY_TEST_RESUMES: how many kills (default 5).
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
kills=${ASSAY_TEST_RESUMES:-5}

cat >"$work/suite.yaml" <<'END'
assay: 1
suite: resume
root: host
workdir: /build
mounts: [{path: /build, mode: cow}]
stores:
  - name: depot
    path: /depot
    rules: [{match: "**", do: same}]
phases:
  - name: fetch
    once-per: package
    harvest: [depot]
    run: 'mkdir -p /depot/$ASSAY_PACKAGE; echo $ASSAY_PACKAGE > /depot/$ASSAY_PACKAGE/name; echo got > /build/fetched'
  - name: test
    run: |
      test -s /build/fetched
      case $ASSAY_PACKAGE.$ASSAY_VARIANT in
      p3.b) echo "not ok 3"; exit 1 ;;
      p5.*) kill -SEGV $$ ;;
      p7.a) exit 7 ;;
      esac
packages: [p0, p1, p2, p3, p4, p5, p6, p7, p8, p9]
variants: [{name: a}, {name: b}]
compare: [a, b]
END
results() { ask "SELECT package, variant, status, phase, reason, exit_code FROM v_job WHERE run = $1 ORDER BY 1, 2"; }
left() { ls "$ASSAY_STATE/jobs" "$ASSAY_STATE/tmp" "$ASSAY_STATE/trash" | grep -cv -e : -e '^$'; }

now_ms() { echo $(($(date +%s%N) / 1000000)); }
began=$(now_ms)
fact "a run that nobody touches ends" ends 1 "$assay" run --fresh "$work/suite.yaml" --jobs 2
took=$(($(now_ms) - began))
results 1 >"$work/wanted"
fact "with a result for each job" is "$(wc -l <"$work/wanted")" 20
fact "there is nothing to go on with then" ends 3 "$assay" resume
fact "and that is said" has "$said" "nothing to go on with"
fact "nor with that run" ends 3 "$assay" resume 1
fact "a run that there is not is told" ends 2 "$assay" resume 77

ends_() { ends "$@" || true; }
# one run per round, killed, gone on with, killed again …, until it is done
killed=0 run=1
while [ $killed -lt "$kills" ]; do
	run=$((run + 1))
	"$assay" run --fresh "$work/suite.yaml" --jobs 2 >"$work/out" 2>&1 &
	whole=true
	while :; do
		pid=$!
		started+=("$pid")
		at=$(((RANDOM * 32768 + RANDOM) % took))
		sleep "$((at / 1000)).$(printf %03d $((at % 1000)))"
		if ! kill -KILL "$pid" 2>/dev/null; then
			wait "$pid"
			# the first one may have been slow for a moment, and no kill would come in time any more
			! $whole || took=$((at + 1))
			break
		fi
		killed=$((killed + 1))
		wait "$pid" 2>/dev/null
		[ "$(ask "SELECT max(run) FROM v_run" 2>/dev/null)" = $run ] || { "$assay" run --fresh "$work/suite.yaml" --jobs 2 >"$work/out" 2>&1 & continue; }
		whole=false
		[ $killed -lt "$kills" ] || { "$assay" resume >"$work/out" 2>&1; break; }
		"$assay" resume >"$work/out" 2>&1 &
	done
	# it may have been killed before its first row, or after its last
	[ "$(ask "SELECT state FROM v_run WHERE run = $run")" = done ] || "$assay" resume >"$work/out" 2>&1
	results $run >"$work/got"
	fact "run $run, after $killed kills in all, has the results of the first" diff "$work/wanted" "$work/got"
	fact "each of them once" is "$(ask "SELECT count(*), count(DISTINCT job) FROM v_result WHERE run = $run AND NOT repeat")" 20,20
	fact "and is done" is "$(ask "SELECT state FROM v_run WHERE run = $run")" done
done 2>/dev/null
fact "the database is whole" is "$(ask "PRAGMA integrity_check")" ok
fact "nothing is left to clean" is "$(left)" 0

# ---- drained, and gone on with
# All but the first two tests wait until it has been told to drain, however late that is.
mkdir -m 777 "$work/go"
sed -e 's/^suite: resume/suite: slow/' -e "s|^mounts: \[|&{path: /go, source: $work/go, mode: rw}, |" \
	-e 's|^      test -s|      mkdir /go/1 2>/dev/null \|\| mkdir /go/2 2>/dev/null \|\| until [ -e /go/on ]; do sleep 0.05; done\n&|' "$work/suite.yaml" >"$work/slow.yaml"
"$assay" run --fresh "$work/slow.yaml" --jobs 2 >"$work/out" 2>&1 &
pid=$!
started+=("$pid")
run=$((run + 1))
some() { [ "$(ask "SELECT count(*) FROM v_result WHERE run = $run")" -ge 1 ]; }
fact "some are done" until_true 300 some
kill -TERM $pid
fact "it drains" until_true 300 grep -q "nothing more is started" "$work/out"
: >"$work/go/on"
wait $pid
fact "a drained run's exit status says so" is $? 2
fact "and it says how to go on" grep -q "go on with: assay resume $run" "$work/out"
drained=$(ask "SELECT count(*) FROM v_result WHERE run = $run")
fact "a suite that changed is not gone on with" bash -c 'echo "# changed" >>"$2"; ! "$1" resume 2>"$3"' - "$assay" "$work/slow.yaml" "$work/err"
fact "and that is said" grep -q "changed since run $run began" "$work/err"
sed -i '$d' "$work/slow.yaml"
fact "what is left is done" ends 1 "$assay" resume $run --jobs 4
fact "and only that" has "$said" "$((20 - drained)) of 20 jobs are left"
results $run >"$work/got"
fact "with the results of the first run" diff "$work/wanted" "$work/got"

# ---- repeats that were interrupted are taken up
# Its fourth test, which is the second repeat, waits for the gate; the run is stopped there.
mkdir -m 777 "$work/gate"
cat >"$work/takeup.yaml" <<END
assay: 1
suite: takeup
root: host
workdir: /build
mounts: [{path: /build, mode: cow}, {path: /gate, source: $work/gate, mode: rw}]
phases:
  - {name: build, run: echo made >made}
  - name: test
    run: |
      test -s made
      [ \$ASSAY_PACKAGE = worse ] || exit 0
      mktemp /gate/ran.XXXXXX >/dev/null
      until [ -e /gate/open ] || [ \$(ls /gate | grep -c ran) -le 3 ]; do sleep 0.05; done
      [ \$ASSAY_VARIANT = a ] || { echo "Error: worse"; exit 1; }
packages: [worse, p1, p2]
variants: [{name: a}, {name: b}]
compare: [a, b]
END
of_last() { ask "SELECT $1 WHERE run = (SELECT max(run) FROM v_run) ${2:-}"; }
at_gate() { [ "$(find "$work/gate" -name 'ran.*' | wc -l)" -ge 4 ] && [ "$(of_last "count(*), coalesce(sum(repeat), 0) FROM v_result")" = 7,1 ]; }
for how in KILL TERM; do
	rm -f "$work/gate"/*
	"$assay" run --fresh "$work/takeup.yaml" --jobs 2 >"$work/out" 2>&1 &
	pid=$!
	started+=("$pid")
	fact "a package is repeated ($how)" until_true 300 at_gate
	before=$(of_last "group_concat(attempt) FROM v_result" | tr -d '"')
	kill -$how $pid
	# what runs may end, once it drains
	[ $how = KILL ] || fact "the run drains" until_true 300 grep -q "nothing more is started" "$work/out"
	: >"$work/gate/open"
	wait $pid 2>/dev/null
	fact "the run's exit status says so" is $? "$([ $how = KILL ] && echo 137 || echo 2)"
	fact "what is to be repeated is taken up" ends 1 "$assay" resume --jobs 2
	fact "which is said" has "$said" "0 of 6 jobs are left; packages of which more is to be repeated: 1"
	fact "it is as sure as without a stop" is "$(of_last "package, verdict, confidence, base_passes, base_runs, next_passes, next_runs FROM v_verdict" "AND package = 'worse'")" worse,regressed,confirmed,5,5,0,5
	fact "each side is repeated no more often" is "$(of_last "count(*) FROM v_result" "AND repeat")" 8
	fact "the results of before stay" is "$(of_last "count(*) FROM v_result" "AND attempt IN ($before)")" 7
	fact "and no job has another" is "$(of_last "count(*) FROM v_result" "AND NOT repeat")" 6
	fact "what does not differ is not run again" is "$(of_last "count(*) FROM v_phase" "AND package <> 'worse'")" 8
	fact "nor what was repeated" is "$(of_last "count(*) FROM v_phase" "AND package = 'worse' AND phase = 'test' AND ended_as = 'exited'")" 10
done
# ---- run again
again() { ask "SELECT group_concat(DISTINCT package) FROM v_job WHERE run = (SELECT max(run) FROM v_run)" | tr -d '"'; }
before=$(ask "SELECT max(run) FROM v_run")
fact "a package is run again, twice" ends 0 "$assay" rerun 1 p2 --times 2 --jobs 2
fact "as two runs" is "$(ask "SELECT max(run) FROM v_run")" $((before + 2))
fact "of it alone" is "$(again)" p2
fact "what did not pass is run again" ends 1 "$assay" rerun 1 --failed --jobs 2
fact "and nothing else" is "$(again)" p3,p5,p7
fact "where there is nothing to run that is told" ends 2 "$assay" rerun 1 --infra

# ---- what a killed one tried with an overlay before its first job: a directory of the kernel's that nobody may enter.
mkdir -p "$ASSAY_STATE/jobs/probe.1/w/work/inside"
chmod 000 "$ASSAY_STATE/jobs/probe.1/w/work"
fact "a run begins beside what a trial left" ends 1 "$assay" run --fresh "$work/suite.yaml" --jobs 2
fact "which is gone then" is "$(left)" 0
fact "nor is a trial anywhere else" is "$(find "$ASSAY_STATE" -name 'probe.*')" ""

over
