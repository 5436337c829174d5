#!/bin/bash
# Calls of the orchestrator on its state directory that fail, or are its last one, in the middle of a run that fetches, publishes, records,
# keeps and repeats: the run stops, or goes on, and says why; no package is blamed, nothing that was acknowledged is lost, nothing is left, and
# `resume` ends with the results of a run that nothing happened to. fault.c, put before the program, lists the places (a call and how it was come to,
# so two files that the same code writes are one place) of three nights: of an empty state directory, of one that has all of the night before, and
# of one whose store has so many layers that they are compacted while the run goes on.
# ASSAY_TEST_FAULTS: how many, spread evenly over places and errors (default 8); `each`: all, or `each:EIO,ENOSPC`: of those (some 700 places, a second each).
# ASSAY_TEST_NIGHT: only what the first, second or high night has and those before it have not.
# ASSAY_TEST_PLACE: only this one (a digest or a call), ASSAY_TEST_STAYS: from then on everything that could fail does.
# ASSAY_TEST_EVERY: only each Nth of the places, or as N:K the Kth of each N, so that several can share the work.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
preload=$build/tests/fault.so
[ -e "$preload" ] || skip "no $preload"
ldd "$build/assay-all" 2>/dev/null | grep 'libasan\|libtsan' >/dev/null && skip "sanitizers put themselves before a program, too"
faults=${ASSAY_TEST_FAULTS:-8}
errors=(ENOSPC EIO EMFILE ENOMEM EINTR KILL)
# a call that is always interrupted is made again for ever, by SQLite too
[ -z "${ASSAY_TEST_STAYS:-}" ] || errors=(ENOSPC EIO EMFILE ENOMEM)
declare -A words=([ENOSPC]="No space left on device" [EIO]="Input/output error" [EMFILE]="Too many open files"
	[ENOMEM]="Cannot allocate memory" [EINTR]="Interrupted system call")

# suite NAME TEXT PACKAGES: TEXT makes the second phase another one
suite() {
	cat >"$work/$1.yaml" <<END
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
    run: 'mkdir -p /depot/\$ASSAY_PACKAGE; echo \$ASSAY_PACKAGE > /depot/\$ASSAY_PACKAGE/name; echo got > /build/fetched'
  - name: test
    run: 'echo $2; test -s /build/fetched; test -s /depot/\$ASSAY_PACKAGE/name; [ \$ASSAY_PACKAGE.\$ASSAY_VARIANT != p1.b ]'
packages: [$3]
variants: [{name: a}, {name: b}]
compare: [a, b]
END
}
suite first one "p0, p1"
suite second two "p0, p1, p2"
suite high three "p0, p1, p2"

results() { ask "SELECT package, variant, status, phase, reason, exit_code FROM v_job WHERE run = $1 ORDER BY 1, 2"; }
acknowledged() { awk '$1 == "ACK" && $4 != "infra" { print $2 "," $3 "," $4 }' "$1" | sort; }
last() { ask "SELECT coalesce(max(run), 0) FROM v_run" 2>/dev/null || echo 0; }
left() {
	ls "$ASSAY_STATE/jobs" "$ASSAY_STATE/tmp" "$ASSAY_STATE/trash" | grep -v -e : -e '^$'
	grep -F " $ASSAY_STATE/" /proc/self/mounts
}
# layers and segments that nobody names, and those that are missing
unnamed() {
	comm -3 <(ls "$ASSAY_STATE/layers" | sed 's/[.]list$//' | sort -u) <(ask "SELECT digest FROM layer ORDER BY 1")
	comm -3 <(ls "$ASSAY_STATE/seg" | sort) <(ask "SELECT printf('%06d.tar.zst', number) FROM segment ORDER BY 1")
}
shown() { "$assay" cache entries faults/depot | awk '{ print $NF }' | sort; }
night() { timeout 300 "$assay" run --porcelain "$work/$1.yaml" --jobs 2; }
# faulty NIGHT NAME=VALUE...: the program itself, with something done to it
faulty() { timeout 300 env LD_PRELOAD="$preload" ASSAY_FAULT_UNDER="$ASSAY_STATE" "${@:2}" "$build/assay-all" run --porcelain "$work/$1.yaml" --jobs 2; }
# before NIGHT: the state directory as it is then
before() {
	rm -rf "$ASSAY_STATE"
	[ "$1" = first ] || cp -a "$work/evening-$1" "$ASSAY_STATE"
}

# fault NIGHT PLACE ERROR CALL: one, and what became of it
fault() {
	local night=$1 error=$3 status begun run state
	local place="$1 night, $4 ($2) $3"
	before "$night"
	begun=$([ "$night" = second ] && echo 1 || echo 0)
	rm -f "$work/told"
	faulty "$night" ASSAY_FAULT_PLACE="$2" ASSAY_FAULT_DO="$error" ASSAY_FAULT_TOLD="$work/told" ${ASSAY_TEST_STAYS:+ASSAY_FAULT_STAYS=1} \
		>"$work/out" 2>"$work/err"
	status=$?
	tried=$((tried + 1))
	[ -s "$work/told" ] || return 0
	happened=$((happened + 1))
	place+=", $(sed "s,$ASSAY_STATE,.," "$work/told"), exit status $status"
	case $error.$status in
	KILL.137 | *.[012]) ;;
	*) fact "$place: the program ends itself" sh -c 'cat "$1"; exit 1' - "$work/err" ;;
	esac
	[ $status != 2 ] || [ $error = KILL ] ||
		fact "$place: it says why" bash -c 'grep -q -e "$1" -e "be made: is there space" "$2" || { cat "$2"; exit 1; }' - "${words[$error]:-}" "$work/err"
	acknowledged "$work/out" >"$work/acknowledged"
	fact "$place: nobody is blamed" bash -c '! grep -vxFf "$1" "$2"' - "$work/$night.short" "$work/acknowledged"
	: >"$work/err.after"
	run=$(last)
	if [ "${run:-0}" = "$begun" ]; then
		[ $status = 2 ] || [ $status = 137 ] || fact "$place: a run ends that never began" false
		fact "$place: nothing is acknowledged that never began" test ! -s "$work/acknowledged"
		night "$night" >"$work/out" 2>"$work/err.after"
		run=$(last)
	else
		state=$(ask "SELECT state FROM v_run WHERE run = $run")
		results "$run" >"$work/now"
		if [ "$state" != done ] || ! cmp -s "$work/now" "$work/$night.wanted"; then
			timeout 300 "$assay" resume "$run" >"$work/out" 2>"$work/err.after"
		fi
	fi
	results "$run" >"$work/after"
	fact "$place: resume ends with what there should be" bash -c 'diff "$1" "$2" || { cat "$3"; echo; cat "$4"; exit 1; }' - \
		"$work/$night.wanted" "$work/after" "$work/err" "$work/err.after"
	cut -d, -f1-3 "$work/after" >"$work/after.short"
	fact "$place: what was acknowledged is there" bash -c '! grep -vxFf "$2" "$1"' - "$work/acknowledged" "$work/after.short"
	fact "$place: results are there once" is "$(ask "SELECT max(n) FROM (SELECT count(*) AS n FROM v_result WHERE run = $run AND status <> 'infra' AND NOT repeat GROUP BY package, variant)")" 1
	fact "$place: the database is whole" is "$(ask "PRAGMA integrity_check")" ok
	fact "$place: the stores are whole" ends 0 "$assay" cache verify
	fact "$place: nothing in them is unnamed" is "$(unnamed)" ""
	shown >"$work/shown"
	fact "$place: they show what there should be" diff "$work/$night.shown" "$work/shown"
	# what can't be removed is told, and is the next start's
	if [ -n "$(left)" ]; then
		fact "$place: what is left is told" grep -q -e "^assay: .*jobs" -e "^assay: .*${words[$error]:-}" "$work/err" "$work/err.after"
		night "$night" >/dev/null 2>&1
	fi
	fact "$place: nothing is left" is "$(left)" ""
	[ -z "${ASSAY_TEST_TOLD:-}" ] || echo "== $place: $(grep -v '^[ r0-9]' "$work/err" | head -4 | sed "s,$work,,g")" >>"$ASSAY_TEST_TOLD"
}

# The nights as they should be, and the places they have.
for i in {1..32}; do
	mkdir -p "$work/brought/before"
	echo "$i" >"$work/brought/before/$i"
	"$assay" cache publish faults/depot "$work/brought" --suite "$work/high.yaml" >"$work/brought.log" 2>&1 || break
	rm "$work/brought/before/$i"
done
fact "a store has as many layers as it may without being compacted" is "$(ask "SELECT max(position) FROM generation_layer")" 31
mv "$ASSAY_STATE" "$work/evening-high"
for night in first second high; do
	before $night
	fact "a $night night that nothing happens to ends" ends 1 night $night
	results "$(last)" >"$work/$night.wanted"
	cut -d, -f1-3 "$work/$night.wanted" >"$work/$night.short"
	fact "the $night night has a result for each job" is "$(wc -l <"$work/$night.wanted")" "$([ $night = first ] && echo 4 || echo 6)"
	shown >"$work/$night.shown"
	[ $night != high ] || fact "the store was compacted" is "$(ask "SELECT count(*) > 0 FROM generation WHERE made_by = 'flatten'")" 1
	before $night
	fact "the places of the $night night are found" ends 1 faulty $night ASSAY_FAULT_LIST="$work/$night.list"
	[ $night != first ] || mv "$ASSAY_STATE" "$work/evening-second"
done
awk '!($1 in seen) { seen[$1] = 1; print night, $1, $2, $3 }' night=first "$work/first.list" night=second "$work/second.list" \
	night=high "$work/high.list" | sort -k3,3 -k1,1 -k2,2 >"$work/places"
[ -z "${ASSAY_TEST_NIGHT:-}" ] || { grep "^$ASSAY_TEST_NIGHT " "$work/places" >"$work/chosen"; mv "$work/chosen" "$work/places"; }
[ -z "${ASSAY_TEST_PLACE:-}" ] || { grep -w -e "$ASSAY_TEST_PLACE" "$work/places" >"$work/chosen"; mv "$work/chosen" "$work/places"; }
every=${ASSAY_TEST_EVERY:-1:1}
mapfile -t places < <(awk -v n="${every%:*}" -v k="${every#*:}" 'NR % n == k % n' "$work/places")
echo "     ${#places[@]} places"

tried=0 happened=0
# spread COUNT ERROR...: so many of all, evenly
spread() {
	local count=$1 all i at how night place call pattern
	shift
	all=$((${#places[@]} * $#))
	[ "$count" -lt $all ] || count=$all
	for ((i = 0; i < count; i++)); do
		at=$((i * all / count))
		read -r night place call pattern <<<"${places[at / $#]}"
		# in turns, also where there are fewer than places
		how=$(((count < all ? i : at) % $# + 1))
		fault "$night" "$place" "${!how}" "$call $pattern"
	done
}
case $faults in
each) spread 1000000 "${errors[@]}" ;;
each:*) IFS=, read -ra errors <<<"${faults#each:}"; spread 1000000 "${errors[@]}" ;;
*) spread "$faults" "${errors[@]}" ;;
esac 2>/dev/null # the shell tells of each kill
echo "     $happened of $tried faults happened"
fact "some happened at all" test $happened -gt 0
over
