#!/bin/bash
# kill -9 in the middle of a run: no process of a job outlives it (how soon: tests/integration/test_sandbox_kill.c); the next start
# sweeps what was left, and works.
# Also the gentle ends: one SIGINT lets running phases end, two end them.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

mark=assay-e2e-$$
cat >"$work/suite.yaml" <<END
assay: 1
suite: death
root: host
workdir: /build
mounts:
  - {path: /build, mode: cow}
stores:
  - name: depot
    path: /depot
    rules: [{match: "**", do: same}]
limits: {time: 1h}
phases:
  - name: fetch
    once-per: package
    harvest: [depot]
    run: 'mkdir -p /depot/p; echo \$ASSAY_PACKAGE > /depot/p/\$ASSAY_PACKAGE'
  - name: test
    run: |
      case \$ASSAY_PACKAGE in
      quick*) exit 0 ;;
      esac
      # a child in a new session, a stopped one, a double fork: all must go
      (setsid sleep 6000.$$ &)
      (sh -c 'kill -STOP \$\$' $mark &)
      echo waiting
      until [ -e /build/never ]; do sleep 0.1; done
packages: [slow1, slow2, quick1, quick2]
variants: [{name: a}, {name: b}]
compare: [a, b]
END
sleepers() { pgrep -f "^sleep 6000[.]$$\$" >/dev/null; }
# the mark is in the words of the stopped one and, with the whole of what it runs, of each job's shell
marked() { pgrep -af "$mark"; }
gone() { ! sleepers && ! marked; }

"$assay" run --fresh "$work/suite.yaml" --jobs 4 >"$work/out" 2>&1 &
pid=$!
started+=("$pid")
fact "jobs run" until_true 300 sleepers
fact "and can be told by their mark" marked
boxes=$(pgrep -P "$pid" | tr '\n' ' ')
fact "another writer is refused, and told who writes" ends 2 "$assay" run --fresh "$work/suite.yaml"
fact "by its pid" has "$said" "$pid"
fact "readers read meanwhile" ends 0 "$assay" status
kill -KILL "$pid"
wait "$pid" 2>/dev/null
fact "after kill -9 no process of a job stays alive" until_true 300 gone
# a zombie is dead: whoever is its parent now may take a while to notice
not_alive() {
	local p state
	for p in $boxes; do
		state=$(sed -n 's/^State:[[:space:]]*\(.\).*/\1/p' "/proc/$p/status" 2>/dev/null)
		case $state in
		'' | Z | X) ;;
		*) echo "$p is $state" && return 1 ;;
		esac
	done
}
fact "nor any helper" until_true 300 not_alive

fact "what it left is swept and the next run works" ends 0 "$assay" run --fresh "$work/suite.yaml" --only quick1 quick2
fact "the killed run is told as aborted" is "$(ask "SELECT state FROM run WHERE id = 1")" aborted
fact "its jobs as abandoned, none as running" is "$(ask "SELECT count(*) FROM job WHERE run = 1 AND state IN ('waiting', 'running')")" 0
fact "no directory of a job is left" is "$(ls "$ASSAY_STATE/jobs" | wc -l)" 0
fact "no control group of it is left" until_true 300 groups_swept "$pid" "$assay" run --fresh "$work/suite.yaml" --only quick1

# ---- gentle ends
"$assay" run --fresh "$work/suite.yaml" --jobs 4 --only slow1 >"$work/out" 2>&1 &
pid=$!
started+=("$pid")
fact "jobs run again" until_true 300 sleepers
kill -INT "$pid"
fact "one SIGINT is told" until_true 300 grep -q "nothing more is started" "$work/out"
fact "and lets the running phases be" sleepers
kill -INT "$pid"
wait "$pid"
status=$?
fact "the second ends them: exit status 2" is "$status" 2
fact "nothing of them is alive" gone
fact "the run is told as interrupted" is "$(ask "SELECT state FROM run ORDER BY id DESC LIMIT 1")" interrupted
over
