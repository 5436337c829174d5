#!/bin/bash
# A phase of a run can be gone into: the box, layers, stores and limits it had, whatever changed since; what is done there changes nothing.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

suite() { # MEMORY
	cat <<-END
		assay: 1
		suite: reproduce
		root: host
		workdir: /build
		mounts: [{path: /build, mode: cow}]
		limits: {memory: $1, processes: 64, log: 1M, silence: 50m, disk: 64M}
		stores:
		  - {name: cans, path: /cans, rules: [{match: "**", do: same}]}
		phases:
		  - name: fetch
		    once-per: package
		    harvest: [cans]
		    run: |
		      cat /input/seed >/cans/\$(cat /input/seed)
		      cat /input/seed >seed
		  - name: build
		    run: |
		      tr a-z A-Z <seed >built.\$SIDE
		      rm seed
		  - name: test
		    goal: true
		    run: |
		      grep -q ONE built.\$SIDE || { echo never >left; exit 7; }
		      [ \$SIDE = good ]
		packages: [{name: can, version: 1.0, files: {seed: seed}}, {name: other, files: {seed: other}}]
		variants: [{name: good, env: {SIDE: good}}, {name: bad, env: {SIDE: bad}}]
		compare: [good, bad]
	END
}
echo one >"$work/seed"
echo two >"$work/other"
suite 256M >"$work/suite.yaml"
shell() { timeout 500 "$assay" shell "$@" </dev/null; }
quietly() { shell "$@" 2>/dev/null; }
tree() { find "$ASSAY_STATE"/{layers,seg,runs} -printf '%P %s %m %T@\n' | sort; }

fact "a run" ends 0 "$assay" run --fresh "$work/suite.yaml" --jobs 2 --repeats 0 --keep-layers 0
before=$(tree)
rows=$(ask "SELECT (SELECT count(*) FROM v_phase) + 1000 * (SELECT count(*) FROM v_job)")

fact "a command is run where the phase that decided was" is "$(quietly 1 can -- sh -c 'pwd; ls; cat built.*; echo $ASSAY_PHASE $ASSAY_VARIANT $SIDE; cat /cans/one; wc -l </proc/net/route; printf last')" $'/build\nbuilt.bad\nONE\ntest bad bad\none\n1\nlast'
fact "what that phase left is not there" is "$(quietly 1 other --variant good -- ls)" built.good
fact "another phase sees what it saw" is "$(quietly 1 can --phase build -- ls)" seed
fact "the first one sees nothing" is "$(quietly 1 can --phase fetch -- sh -c 'ls; ls /cans | wc -l; cat /input/seed')" $'0\none'
fact "the exit status is the command's" ends 9 shell 1 can -- sh -c 'exit 9'
fact "a signal is one" ends 134 shell 1 can -- bash -c 'ulimit -c 0; kill -ABRT $$'
fact "the phase's own command does as recorded" ends 7 shell 1 other -- sh -ec 'grep -q ONE built.$SIDE || exit 7'
fact "the limits are there" is "$(quietly 1 other -- sh -c 'head -c 200M /dev/zero >/build/full 2>/dev/null; sleep 1000'; echo $?)" 124
fact "what is changed there is changed" is "$(quietly 1 can -- sh -c 'rm built.*; echo x >/cans/one; echo y >new; ls; cat /cans/one')" $'new\nx'
fact "and is gone afterwards" is "$(quietly 1 can -- sh -c 'ls; cat /cans/one')" $'built.bad\none'
fact "input can be given" is "$(echo in | timeout 500 "$assay" shell 1 can -- cat 2>/dev/null)" in
fact "nothing that is kept was touched" is "$(tree)" "$before"
fact "and nothing recorded" is "$(ask "SELECT (SELECT count(*) FROM v_phase) + 1000 * (SELECT count(*) FROM v_job)")" "$rows"
fact "and nothing is left" is "$(ls "$ASSAY_STATE/aside" "$ASSAY_STATE/pins")" "$(printf '%s\n' "$ASSAY_STATE/aside:" '' "$ASSAY_STATE/pins:")"

# ---- after the store has gone on, and while a run goes on
echo four >"$work/seed"
fact "a run that brings more to the store" ends 0 "$assay" run --fresh "$work/suite.yaml" --only can --jobs 2 --repeats 0
fact "which its boxes see" is "$(quietly 2 can --variant good -- cat /cans/four)" four
echo one >"$work/seed"
fact "those of the run before do not" is "$(quietly 1 can -- sh -c 'cat /cans/one; ls /cans | grep -c four')" $'one\n0'
cat >"$work/long.yaml" <<-END
	assay: 1
	suite: long
	root: host
	workdir: /
	phases: [{name: wait, run: 'until [ -e /live/go ]; do sleep 0.1; done'}]
	mounts: [{path: /live, source: $work/live, mode: ro}]
	packages: [one]
	variants: [{name: a}]
END
mkdir "$work/live"
"$assay" run --fresh "$work/long.yaml" >/dev/null 2>&1 &
started+=($!)
long=$!
fact "another run begins" until_true 300 bash -c '[ -e "$ASSAY_STATE/socket" ]'
fact "beside it a shell opens" is "$(quietly 1 can -- echo here)" here
fact "a job that has no result has no box to go into" ends 125 shell 3 one -- true
fact "it says so" has "$said" "one has no result under a in run 3"
touch "$work/live/go"
fact "the run ends well" wait "$long"
fact "a directory of this machine is as it is now" is "$(quietly 3 one -- ls /live)" go

# ---- killed: what it had is swept
timeout 500 "$assay" shell 1 can -- sleep 1000 </dev/null >/dev/null 2>&1 &
disown
fact "a shell has a directory" until_true 300 bash -c 'ls -d "$ASSAY_STATE"/aside/*/2 2>/dev/null'
pid=$(basename "$(echo "$ASSAY_STATE"/aside/*)" | cut -d. -f1)
kill -KILL "$pid"
fact "which stays where it is killed" test -n "$(ls "$ASSAY_STATE/aside")"
swept() { [ "$(quietly 1 can -- echo here)" = here ] && [ -z "$(ls "$ASSAY_STATE/aside")" ]; }
fact "the next one, once its box is gone, removes it" until_true 300 swept

# ---- where what the phases before left is kept
sed 's/^suite: .*/suite: keeping/' "$work/suite.yaml" >"$work/keeping.yaml"
kept_tree() { find "$ASSAY_STATE/kept" -printf '%P %s %m %U %T@ %C@\n' | sort; }
fact "a run that keeps it" ends 0 "$assay" run --fresh "$work/keeping.yaml" --jobs 2 --repeats 0
keeping=$(ask "SELECT max(run) FROM v_run")
layers=$(kept_tree)
fact "its phase is gone into" ends 0 shell "$keeping" can -- sh -c 'cat built.*; rm -r /build/*; echo new >>/build/seed; chmod 700 /build'
fact "as it was" has "$said" ONE
fact "by what is kept" has "$said" "as it is kept: what phase build left"
fact "and nothing runs again" is "$(grep -c 'run again' <<<"$said")" 0
fact "what is kept is what it was" is "$(kept_tree)" "$layers"
fact "an earlier phase, too" is "$(quietly "$keeping" can --phase build -- ls)" seed
build=$(ask "SELECT phase_id FROM v_kept WHERE run = $keeping AND package = 'can' AND phase = 'build' AND variant = 'bad'")
echo other >"$ASSAY_STATE/kept/$build/$(cd "$ASSAY_STATE/kept/$build" && find . -name built.bad)"
fact "what is not what it was is made again" ends 0 shell "$keeping" can -- sh -c 'cat built.*'
fact "as it was" has "$said" ONE
fact "upon what is" has "$said" "as it is kept: what phase fetch left"
fact "which is told" has "$said" "run again, because what it left is not kept: phase build"
mkfifo "$work/in"
timeout 500 "$assay" shell "$keeping" other -- sh -c 'echo here; read x; cat built.*' <"$work/in" >"$work/seen" 2>&1 &
holder=$!
started+=($holder)
exec 9>"$work/in"
fact "a shell is there" until_true 300 grep -q here "$work/seen"
fact "meanwhile nothing of it is to be kept any more" ends 0 "$assay" cache kept --max-size 0
echo >&9
exec 9>&-
fact "what it sees stays as long" wait "$holder"
fact "to the end" grep -q TWO "$work/seen"
fact "then it goes with the next start" ends 0 "$assay" cache kept --max-size 0
fact "and all of it" is "$(ls "$ASSAY_STATE/kept")" ""
fact "without it phases run again" ends 0 shell "$keeping" other -- true
fact "both" is "$(grep -c 'run again' <<<"$said")" 2

# ---- what can't be
fact "an unknown run" ends 125 shell 99 can -- true
fact "is told" has "$said" "there is no run 99"
fact "an unknown package" ends 125 shell 1 nothing -- true
fact "is told" has "$said" "run 1 has no package nothing"
fact "an unknown variant" ends 125 shell 1 can --variant ugly -- true
fact "is told with those there are" has "$said" "it has good, bad"
fact "an unknown phase" ends 125 shell 1 can --phase dream -- true
fact "is told" has "$said" "suite reproduce has no phase dream"
fact "without a terminal there is no shell" ends 125 shell 1 can
fact "which is told" has "$said" "standard input is no terminal: give a command after --"
fact "a run by words is none" ends 125 shell one can
fact "no package is a mistake" ends 125 shell 1
sed 's/ONE/TWO/; s/suite: .*/suite: early/; s/rm seed/exit 3/' "$work/suite.yaml" >"$work/early.yaml"
fact "a run that ends early" ends 0 "$assay" run --fresh "$work/early.yaml" --jobs 2 --repeats 0
fact "has phases that never ran" ends 125 shell 5 can --phase test -- true
fact "which is told with those that did" has "$said" "phase test of can under good was not run in run 5 (fail/exit in build, exit status 3): only fetch, build"
fact "what was not run for an earlier run's sake" ends 0 "$assay" run "$work/early.yaml" --jobs 2 --repeats 0 --recheck 0
fact "is run once more, as it failed but once" ends 0 "$assay" run "$work/early.yaml" --jobs 2 --repeats 0 --recheck 0
fact "and then not" ends 125 shell 7 can -- true
fact "which is told with the run that was" has "$said" "run 6 had judged the same inputs"

echo three >"$work/seed"
fact "a file that changed" ends 0 shell 1 can -- true
fact "is told" has "$said" "since that run these changed: files"
echo one >"$work/seed"
mkdir "$work/tool"
echo tool >"$work/tool/tool"
"$assay" layer import tool "$work/tool" >/dev/null
sed 's/{name: good, /{name: good, layers: [tool], /; s/suite: .*/suite: tools/' "$work/suite.yaml" >"$work/tools.yaml"
"$assay" run --fresh "$work/tools.yaml" --repeats 0 >/dev/null 2>&1
tools=$(ask "SELECT max(run) FROM v_run")
fact "a tool layer is there" is "$(quietly "$tools" can --variant good -- cat /tool)" tool
echo more >>"$work/tool/tool"
"$assay" layer import tool "$work/tool" >/dev/null
fact "a name that means another layer" ends 125 shell "$tools" can --variant good -- true
fact "is told with how to get it back" has "$said" "assay layer import"

fact "at a terminal it is a shell" "$here/reproduce-terminal" "$assay" 1 can
suite 128M >"$work/suite.yaml"
fact "a suite that changed" ends 125 shell 1 can -- true
fact "is told" has "$said" "suite, ecosystem or packages changed since run 1 began"
fact "nothing is left of all that" is "$(ls "$ASSAY_STATE/aside")$(ls "$ASSAY_STATE/jobs")" ""
over
