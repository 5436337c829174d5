#!/bin/bash
# System calls of the orchestrator that fail, or are its last one, in the middle of a run that fetches, publishes and records: the run stops
# or goes on, no package is blamed, nothing that was recorded is lost, and `resume` ends with the results of a run that nothing happened
# to. ASSAY_TEST_FAULTS: how many by chance (default 6), ASSAY_TEST_SEED: which; or `each`, or `each:HOW` (each:signal=KILL): of each kind of
# call the first of a thread, the second, … until there is none so late (hours).
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
command -v strace >/dev/null || skip "no strace"
ldd "$build/assay-all" 2>/dev/null | grep -q 'libasan\|libtsan' && skip "sanitizers have system calls of their own"
strace -qq -o /dev/null true 2>/dev/null || skip "this process may not trace"
faults=${ASSAY_TEST_FAULTS:-6}
RANDOM=${ASSAY_TEST_SEED:-$$}

cat >"$work/suite.yaml" <<'END'
assay: 1
suite: faults
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
    run: 'test -s /build/fetched; test -s /depot/$ASSAY_PACKAGE/name; [ $ASSAY_PACKAGE.$ASSAY_VARIANT != p2.b ]'
packages: [p0, p1, p2, p3]
variants: [{name: a}, {name: b}]
compare: [a, b]
END
results() { ask "SELECT package, variant, status, phase, reason, exit_code FROM v_job WHERE run = $1 ORDER BY 1, 2"; }
acknowledged() { ask "SELECT package, variant, status, phase, reason, exit_code FROM v_result WHERE run = $1 AND status <> 'infra' AND NOT repeat ORDER BY 1, 2"; }
last() { ask "SELECT coalesce(max(run), 0) FROM v_run" 2>/dev/null || echo 0; }
left() { ls "$ASSAY_STATE/jobs" "$ASSAY_STATE/tmp" "$ASSAY_STATE/trash" | grep -cv -e : -e '^$'; }

fact "a run that nothing happens to ends" ends 1 "$assay" run --fresh "$work/suite.yaml" --jobs 2
results "$(last)" >"$work/wanted"
fact "with a result for each job" is "$(wc -l <"$work/wanted")" 8

calls=(openat openat2 pwrite64 write fsync fdatasync mkdirat unlinkat renameat,renameat2,rename linkat ftruncate fstat,newfstatat,statx pread64,read)
what=(error=ENOSPC error=EIO error=EMFILE error=ENOMEM error=EINTR signal=KILL)
# fault NUMBER CALL HOW WHEN: one; what was recorded then, and what became of it; $there: there was such a call
fault() {
	local call=$2 how=$3 when=$4 before run status
	before=$(last)
	# assay-all itself: only its threads are traced, what it starts is let go as it is executed
	timeout 120 strace -f -b execve -qq -o "$work/trace" -e "trace=$call" -e "inject=$call:$how:when=$when" \
		"$build/assay-all" run --fresh "$work/suite.yaml" --jobs 2 >"$work/out" 2>&1
	status=$?
	run=$(last)
	grep -q -e INJECTED -e 'killed by SIGKILL' "$work/trace" && there=yes || there=
	[ -z "$there" ] || happened=$((happened + 1))
	place="fault $1 ($call $how, the ${when}th of a thread, exit status $status)"
	if [ "$run" = "$before" ]; then
		echo "ok   $place: nothing began"
		return
	fi
	acknowledged "$run" >"$work/before"
	fact "$place: blames nobody" bash -c '! grep -vxFf "$1" "$2"' - "$work/wanted" "$work/before"
	case $(ask "SELECT state FROM v_run WHERE run = $run") in
	done) fact "$place: each job has a result" is "$(results "$run" | cut -d, -f1-2)" "$(cut -d, -f1-2 "$work/wanted")" ;;
	*)
		"$assay" resume >"$work/out" 2>&1
		results "$run" >"$work/after"
		fact "$place: resume ends with what there should be" diff "$work/wanted" "$work/after"
		fact "$place: nothing is left" is "$(left)" 0
		fact "$place: nothing that was recorded is lost" bash -c '! grep -vxFf "$2" "$1"' - "$work/before" "$work/after"
		;;
	esac
	fact "$place: results are there once" is "$(ask "SELECT max(n) FROM (SELECT count(*) AS n FROM v_result WHERE run = $run AND status <> 'infra' AND NOT repeat GROUP BY package, variant)")" 1
	fact "$place: the database is whole" is "$(ask "PRAGMA integrity_check")" ok
}
# each [HOW]
each() {
	local call how when
	for call in "${calls[@]}"; do
		for how in ${1:-"${what[@]}"}; do
			there=yes
			for ((when = 1; ${#there}; when++)); do
				faults=$((faults + 1))
				fault $faults "$call" "$how" $when
			done
		done
	done
}
by_chance() {
	local i
	for ((i = 1; i <= faults; i++)); do
		fault $i "${calls[RANDOM % ${#calls[@]}]}" "${what[RANDOM % ${#what[@]}]}" $((RANDOM % 60 + 1))
	done
}
happened=0 there=
case $faults in
each) faults=0; each ;;
each:*) how=${faults#each:} faults=0; each "$how" ;;
*) by_chance ;;
esac 2>/dev/null # the shell tells of each kill
echo "     $happened of $faults faults happened"
fact "some happened at all" test $happened -gt 0
fact "a run afterwards is as the first" ends 1 "$assay" run --fresh "$work/suite.yaml" --jobs 2
fact "the database is whole" is "$(ask "PRAGMA integrity_check")" ok
fact "nothing is left to clean" is "$(left)" 0
over
