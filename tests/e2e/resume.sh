#!/bin/bash
# kill -9 at random moments of runs that fetch, publish and record, and `resume` after each: in the end the results are those of a run
# that nobody touched, each once, and nothing is left behind. ASSAY_TEST_RESUMES: how many kills (default 5).
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

fact "a run that nobody touches ends" ends 1 "$assay" run --fresh "$work/suite.yaml" --jobs 2
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
	while :; do
		pid=$!
		started+=("$pid")
		sleep "0.$((RANDOM % 9))$((RANDOM % 10))"
		kill -KILL "$pid" 2>/dev/null || { wait "$pid"; break; }
		killed=$((killed + 1))
		wait "$pid" 2>/dev/null
		[ "$(ask "SELECT max(run) FROM v_run" 2>/dev/null)" = $run ] || { "$assay" run --fresh "$work/suite.yaml" --jobs 2 >"$work/out" 2>&1 & continue; }
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
sed -e 's/^suite: resume/suite: slow/' -e 's/^      test -s/      sleep 1; test -s/' "$work/suite.yaml" >"$work/slow.yaml"
"$assay" run --fresh "$work/slow.yaml" --jobs 2 >"$work/out" 2>&1 &
pid=$!
started+=("$pid")
run=$((run + 1))
some() { [ "$(ask "SELECT count(*) FROM v_result WHERE run = $run")" -ge 1 ]; }
fact "some are done" until_true 60 some
kill -TERM $pid
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
