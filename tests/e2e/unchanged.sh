#!/bin/bash
# Nothing is run twice for the same inputs, unless that is asked for: what passed is not, what failed only once it failed twice; a share of them is run to check; and `why` says what changed, or who judged it.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

mkdir "$work/flips"
suite() { # BUILD-COMMAND
	cat >"$work/suite.yaml" <<-END
		assay: 1
		suite: unchanged
		root: host
		workdir: /build
		mounts: [{path: /build, mode: cow}]
		phases:
		  - name: build
		    once-per: package
		    run: '$1'
		  - name: test
		    run: |
		      case \$ASSAY_PACKAGE in
		      bad) exit 1 ;;
		      esac
		packages: [good, {name: file, files: {input: file}}, bad, {name: other, env: {A: b}}]
		variants: [{name: a}, {name: b}]
		compare: [a, b]
	END
}
echo one >"$work/file"
suite true
night() { ends "$1" "$assay" run "$work/suite.yaml" --recheck 0 --jobs 2; }
boxes() { ask "SELECT count(*) FROM v_phase WHERE run = $1"; }

fact "the first night runs everything" night 0
fact "in so many boxes" is "$(boxes 1)" 12
fact "the second runs what failed but once" night 0
fact "and nothing else, nor what it was built in" is "$(boxes 2)" 2
fact "it says so" has "$said" "unchanged since an earlier run judged them: 6 jobs"
fact "spared jobs tell their results" is "$(ask "SELECT group_concat(n) FROM (SELECT count(*) AS n FROM v_job WHERE run = 2 GROUP BY status ORDER BY status)")" '"2,6"'
fact "and who judged them" is "$(ask "SELECT DISTINCT judged_in FROM v_job WHERE run = 2 AND status = 'pass'")" 1
fact "as results they are skip/unchanged" is "$(ask "SELECT count(*) FROM v_result WHERE run = 2 AND status = 'skip' AND reason = 'unchanged'")" 6
fact "the third runs nothing at all" night 0
fact "for what fails is confirmed" is "$(boxes 3)" 0
fact "logs of what it did not run are the judging runs'" ends 0 "$assay" logs 3 bad
fact "which are named" is "$said" "== bad build, run 1: exited with 0
== bad a test, run 2: exited with 1
== bad b test, run 2: exited with 1"
fact "asked why, it tells who judged it" ends 0 "$assay" why 3 bad
fact "by its number" has "$said" "not run: run 2 judged the same inputs: fail"

echo two >"$work/file"
fact "a file that changed is run" night 0
fact "and only its package" is "$(ask "SELECT group_concat(DISTINCT package) FROM v_phase WHERE run = 4")" file
fact "asked why" ends 0 "$assay" why 4 file
fact "it tells the file" has "$said" "since run 3 these changed: files"
suite 'true # changed'
fact "a phase whose text changed is run for all" night 0
fact "in so many boxes again" is "$(boxes 5)" 12
fact "and that is why" ends 0 "$assay" why 5 good
fact "by the phase's name" has "$said" "these changed: phase:build"
fact "where it is asked for everything is run" ends 0 "$assay" run "$work/suite.yaml" --fresh --jobs 2
fact "in as many boxes" is "$(boxes 6)" 12
fact "to check, they are run all the same" ends 0 "$assay" run "$work/suite.yaml" --recheck 100 --jobs 2
fact "and it is told how that went" has "$said" "of 8 unchanged jobs that were run to check, 0 ended otherwise"
fact "a package that there is not is told" ends 2 "$assay" why 6 nothing

# ---- what a run could not know of is never spared
sed 's|^mounts: .*|mounts: [{path: /build, mode: cow}, {path: /live, source: '"$work/flips"', mode: ro}]|' "$work/suite.yaml" >"$work/live.yaml"
sed -i 's/suite: unchanged/suite: live/' "$work/live.yaml"
"$assay" run "$work/live.yaml" >/dev/null 2>&1
fact "where a live directory is mounted" ends 0 "$assay" run "$work/live.yaml"
fact "everything is run" is "$(boxes "$(ask "SELECT max(run) FROM v_run")")" 12

# What was confirmed is so as long as nothing changes, without being repeated each night.
cat >"$work/suite.yaml" <<-'END'
	assay: 1
	suite: worse
	root: host
	phases: [{name: test, run: '[ "$ASSAY_VARIANT" = a ] || { echo "Error: no envelope"; exit 1; }'}]
	packages: [worse]
	variants: [{name: a}, {name: b}]
	compare: [a, b]
END
sure() { ask "SELECT confidence FROM v_verdict WHERE run = $1 AND verdict = 'regressed'"; }
fact "what regresses is repeated" night 1
first=$(ask 'SELECT max(run) FROM v_run')
fact "until it is confirmed" is "$(sure "$first")" confirmed
fact "the night after" ends 1 "$assay" run "$work/suite.yaml" --recheck 0 --fail-on confirmed
fact "it is confirmed" is "$(sure $((first + 1)))" confirmed
fact "and nothing was run for it" is "$(boxes $((first + 1)))" 0
fact "its cause is of the first night" is "$(ask "SELECT first_run, packages FROM v_cause WHERE run = $((first + 1))")" "$first,1"
fact "where both sides are run to check" ends 1 "$assay" run "$work/suite.yaml" --recheck 100 --fail-on confirmed
fact "it still is" is "$(sure $((first + 2)))" confirmed
fact "without a repeat" is "$(boxes $((first + 2)))" 2
over
