#!/bin/bash
# What fetch and build phases leave stays for later nights: a night runs only the phases that see what changed, uses nothing that is
# not what it was, keeps to its budget, and a night of which nothing changed costs next to nothing. A side that was not run is run
# after all where the other one regresses.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

suite() { # ENVIRONMENT-OF-b TEST-COMMAND
	cat >"$work/suite.yaml" <<-END
		assay: 1
		suite: kept
		root: host
		workdir: /build
		mounts: [{path: /build, mode: cow}]
		phases:
		  - name: fetch
		    once-per: package
		    run: 'head -c 100000 /dev/urandom >bytes; mkdir -m 700 secret; echo s >secret/file; ln -s bytes link; ln bytes hard; mkfifo pipe; echo \$ASSAY_PACKAGE >name'
		  - name: build
		    run: 'cat bytes >built; rm name; echo \$SIDE >side'
		  - name: test
		    run: |
		      cmp bytes built; test ! -e name; test "\$(cat side)" = "\$SIDE"; test -p pipe; test -s secret/file; cmp bytes link; cmp hard bytes
		      $2
		packages: [p0, p1, p2, p3]
		variants: [{name: a, env: {SIDE: one}}, {name: b, env: {SIDE: $1}}]
		compare: [a, b]
	END
}
night() { local want=$1; shift; ends "$want" "$assay" run "$work/suite.yaml" --recheck 0 --jobs 2 "$@"; }
boxes() { ask "SELECT count(*) FROM v_phase WHERE run = $1"; }
what() { ask "SELECT group_concat(w, ' ') FROM (SELECT DISTINCT phase || coalesce('.' || variant, '') AS w FROM v_phase WHERE run = $1 ORDER BY 1)"; }
kept() { ask "SELECT count(*) FROM v_kept"; }
dirs() { ls "$ASSAY_STATE/kept" | wc -l; }
cpu() { ask "SELECT sum(cpu_user_us + cpu_system_us) FROM v_phase WHERE run = $1"; }

suite one true
fact "the first night runs everything" night 0
fact "in so many boxes" is "$(boxes 1)" 20
fact "what its fetches and builds left stays" is "$(kept)" 12
fact "each in its directory" is "$(dirs)" 12
fact "a night of which nothing changed" night 0
fact "runs nothing" is "$(boxes 2)" 0

# ---- one variant
suite two true
fact "a night with another variant b" night 0
fact "runs only what sees that" is "$(what 3)" 'build.b test.b'
fact "once for each package" is "$(boxes 3)" 8
fact "it tells that it used the others" has "$said" "what earlier runs left of 4 phases was used"
fact "a job says which phases it consists of" is "$(ask "SELECT group_concat(DISTINCT f.run) FROM v_attempt_phase t JOIN v_phase f USING (phase_id) WHERE t.run = 3 AND t.phase = 'fetch'")" 1
fact "asked why, it tells those, too" ends 0 "$assay" why 3 p1
fact "by their run" has "$said" "fetch of run 1"
fact "the list tells how often they were of use" is "$(ask "SELECT sum(uses) FROM v_kept WHERE phase = 'fetch'")" 4
fact "it is shown" ends 0 "$assay" cache kept
fact "with what it saves" has "$said" "SAVES"

# ---- the last phase
suite two 'true changed'
fact "a night with another test" night 0
fact "runs only tests" is "$(what 4)" 'test.a test.b'
fact "and nothing is in use behind it" is "$(ask "SELECT sum(in_use) FROM v_kept")" 0

# ---- what is not what it was
id=$(ask "SELECT phase_id FROM v_kept WHERE phase = 'fetch' AND package = 'p2'")
bytes=$(find "$ASSAY_STATE/kept/$id" -name bytes)
touch -r "$bytes" "$work/when"
printf x | dd of="$bytes" bs=1 seek=50000 conv=notrunc status=none
touch -r "$work/when" "$bytes"
chmod 4777 "$(find "$ASSAY_STATE/kept/$(ask "SELECT phase_id FROM v_kept WHERE phase = 'fetch' AND package = 'p0'")" -name bytes)"
rm -r "$ASSAY_STATE/kept/$(ask "SELECT max(phase_id) FROM v_kept WHERE phase = 'build' AND package = 'p1'")"
mkdir -p "$ASSAY_STATE/kept/999999/0/u" "$ASSAY_STATE/kept/torn"
suite two 'true once more'
fact "a night upon layers that were changed" night 0
fact "says which, and does not use them" is "$(grep -c "is not used, and removed: it is not what it was" <<<"$said")" 2
fact "they are made again" is "$(ask "SELECT group_concat(package) FROM (SELECT package FROM v_phase WHERE run = 5 AND phase = 'fetch' ORDER BY 1)")" '"p0,p2"'
fact "with what lay upon them, and what was gone" is "$(ask "SELECT count(*) FROM v_phase WHERE run = 5 AND phase = 'build'")" 5
fact "all is there again but b's older builds, that lay upon them" is "$(kept)" 14
fact "and nothing else" is "$(dirs)" 14

# ---- fresh, and the budget
fact "everything runs where that is asked for" night 0 --fresh
fact "in as many boxes as at first" is "$(boxes 6)" 20
fact "what was there is replaced" is "$(kept) $(dirs)" "$(ask "SELECT count(*) FROM v_kept") $(ask "SELECT count(*) FROM v_kept")"
suite two 'true and again'
fact "nothing stays where nothing may" night 0 --fresh --keep-layers 0
fact "but what is there" is "$(boxes 7)" 20
big=$(ask "SELECT sum(bytes) FROM v_kept")
fact "less may be kept" ends 0 "$assay" cache kept --max-size $((big / 2))
fact "then less is" test "$(ask "SELECT sum(bytes) FROM v_kept")" -le $((big / 2))
fact "a run keeps to it, too" night 0 --fresh --keep-layers 300K
fact "whatever it made" test "$(ask "SELECT sum(bytes) FROM v_kept")" -le $((300 << 10))
fact "and its directories" is "$(dirs)" "$(kept)"
fact "no size is told" ends 3 "$assay" run "$work/suite.yaml" --keep-layers much
sed 's/^suite: .*/&\nkeep-layers: much/' "$work/suite.yaml" >"$work/much.yaml"
fact "in the suite, too" ends 3 "$assay" run "$work/much.yaml"
fact "by its place" has "$said" "keep-layers takes a size"

# ---- the other side
suite two 'test $ASSAY_VARIANT = a || test $ASSAY_PACKAGE != p3 || test "$SIDE" = two'
fact "a good night" night 0
suite three 'test $ASSAY_VARIANT = a || test $ASSAY_PACKAGE != p3 || test "$SIDE" = two'
fact "a regression is confirmed though its other side had been judged" night 1
fact "for that is run after all" is "$(ask "SELECT group_concat(DISTINCT package) FROM v_phase WHERE run = $(ask "SELECT max(run) FROM v_run") AND variant = 'a'")" p3
fact "and repeated" is "$(ask "SELECT confidence FROM v_verdict WHERE verdict = 'regressed' ORDER BY run DESC LIMIT 1")" confirmed
fact "its result is its own" is "$(ask "SELECT count(*) FROM v_result WHERE run = (SELECT max(run) FROM v_run) AND package = 'p3' AND variant = 'a' AND NOT repeat AND status = 'pass'")" 1
fact "the others of that side were spared" is "$(ask "SELECT count(*) FROM v_job WHERE run = (SELECT max(run) FROM v_run) AND variant = 'a' AND judged_in IS NOT NULL")" 3

# ---- killed at any moment: what is nobody's goes
for wait in 0.1 0.3 0.6; do
	"$assay" run "$work/suite.yaml" --fresh --jobs 2 >/dev/null 2>&1 &
	pid=$!
	started+=("$pid")
	sleep $wait
	kill -KILL $pid 2>/dev/null
	wait $pid 2>/dev/null
done
fact "after kills it goes on" ends 1 "$assay" run "$work/suite.yaml" --fresh --jobs 2
fact "what is kept is known, and no more" is "$(dirs)" "$(kept)"
fact "nothing is in use" is "$(ask "SELECT sum(in_use) FROM v_kept")" 0
fact "the database is whole" is "$(ask "PRAGMA integrity_check")" ok
over
