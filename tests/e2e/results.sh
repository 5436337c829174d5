#!/bin/bash
# Each way in which a job can end, made by a command that does just that, and the exact result it must have; and what is flaky by
# chance, which must never be confirmed. With real boxes, and where the machine is busy, too.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

suite() { # NAME LIMITS, packages on standard input as "name command"
	{
		printf 'assay: 1\nsuite: %s\nroot: host\nmounts: [{path: /build, mode: cow}]\nlimits: %s\n' "$1" "$2"
		printf 'phases: [{name: test, run: "eval \\"$WHAT\\""}]\n'
		printf 'variants: [{name: only}]\nlog-rules:\n  - {match: "Network is unreachable", reason: fail/net-denied}\n'
		printf '  - {match: "^gave up: ENOSPC", reason: fail/missing-file}\npackages:\n'
		while read -r name command; do
			printf '  - {name: %s, version: "1", env: {WHAT: "%s"}}\n' "$name" "${command//\"/\\\"}"
		done
	} >"$work/$1.yaml"
}
result() { ask "SELECT status || '/' || reason FROM v_job WHERE suite = '$1' AND package = '$2' ORDER BY run DESC LIMIT 1"; }
all_are() { # SUITE WANT PACKAGE...
	local suite=$1 want=$2 p
	shift 2
	for p; do
		fact "$p is $want" is "$(result "$suite" "$p")" "$want"
	done
}

suite ends '{time: 1h, silence: 30m, processes: 64, log: 1M}' <<'END2'
zero true
one exit 1
e124 exit 124
e125 exit 125
e127 exit 127
e134 exit 134
e137 exit 137
e139 exit 139
e143 exit 143
segv kill -SEGV $$
abrt kill -ABRT $$
bus kill -BUS $$
ill kill -ILL $$
fpe kill -FPE $$
sys kill -SYS $$
itself kill -KILL $$
prints echo 'infra/enospc: No space left on device'; echo 'kill/memory: out of memory'; exit 1
rule echo 'gave up: ENOSPC'; exit 1
net python3 -c 'import socket; socket.create_connection((str(192) + chr(46) + str(0) + chr(46) + str(2) + chr(46) + str(1), 80))'
END2
"$assay" run --fresh "$work/ends.yaml" --jobs 4 >"$work/ends.log" 2>&1
fact "what passes passes" is "$(result ends zero)" pass/ok
all_are ends fail/exit one e124 e125 e127 e134 e137 e139 e143 prints
for s in segv abrt bus ill fpe sys; do all_are ends "crash/$s" $s; done
all_are ends crash/other-signal itself
all_are ends fail/missing-file rule
command -v python3 >/dev/null && all_are ends fail/net-denied net
fact "evidence is the deciding line" is "$(ask "SELECT rule || ' ' || evidence_length FROM v_job WHERE suite = 'ends' AND package = 'rule'")" "ends/2 15"

# each limit where no other one could fire before it, however long anything takes
suite silence '{time: 1h, silence: 1s}' <<'END2'
silent sleep 6000
END2
suite time '{time: 1s}' <<'END2'
slow while :; do echo tick; sleep 0.1; done
END2
suite limits '{time: 1h, processes: 40, disk: 32M, log: 64K}' <<'END2'
crowd for i in $(seq 100); do sleep 6000 & done; wait
fat head -c 200M /dev/zero >/build/fat; sleep 6000
loud yes
END2
for s in silence time limits; do "$assay" run --fresh "$work/$s.yaml" --jobs 4 >"$work/$s.log" 2>&1; done
all_are silence kill/silence silent
all_are time kill/wall-time slow
all_are limits kill/processes crowd
all_are limits kill/disk fat
all_are limits kill/log-size loud
fact "what fired is kept with its value" is "$(ask "SELECT limit_hit || ' ' || limit_bound || ' ' || (limit_value >= limit_bound) FROM v_job WHERE suite = 'silence' AND package = 'silent'")" "silence 1000 1"

suite memory '{time: 1h, memory: 64M}' <<'END2'
hog tail /dev/zero
child sh -c 'tail /dev/zero'; exit 1
child0 sh -c 'tail /dev/zero'; exit 0
END2
"$assay" run --fresh "$work/memory.yaml" --jobs 2 >"$work/memory.log" 2>&1
all_are memory kill/memory hog child child0

# The machine out of memory: here a group of 64 MiB around everything of assay's. The box's own limit has nothing to do with it.
around=$(awk '$3 == "cgroup" && $4 ~ /(^|,)memory(,|$)/ { print $2; exit }' /proc/self/mounts)
around=$around$(sed -n 's/^[0-9]*:\([^:]*,\)*memory\(,[^:]*\)*://p' /proc/self/cgroup)/assay-e2e-$$
if [ "$(id -u)" = 0 ] && mkdir "$around" 2>/dev/null; then
	echo 64M >"$around/memory.limit_in_bytes"
	(echo "$BASHPID" >"$around/cgroup.procs" && exec "$assay" sandbox --json "$work/host.json" --memory 1G --time 1h -- tail /dev/zero) >"$work/host.log" 2>&1
	fact "what the machine killed was not the box's limit" has "$(tr -d ' \n' <"$work/host.json")" '"oom_kills":0,"host_oom_kills":1'
	until_true 300 rmdir "$around"
fi

# Two sides that are the same, and packages that fail by chance. The draws are numbers that differ from package to package, side to
# side and from one box to the next, and are the same whenever this runs: each is a digest of a seed, these and a counter, which is
# a file in a directory of this machine that the jobs share.
mkdir -m 777 "$work/draws"
cat >"$work/draw" <<'END2'
#!/bin/sh
# draw PERCENT: fails so often
umask 0
mine=/draws/$ASSAY_PACKAGE-$ASSAY_VARIANT
n=$(cat "$mine" 2>/dev/null || echo 0)
echo $((n + 1)) >"$mine"
digest=$(echo "seed 1 $ASSAY_PACKAGE $ASSAY_VARIANT $n" | sha256sum | cut -c 1-7)
[ $((0x$digest % 100)) -ge "$1" ]
END2
chmod 755 "$work/draw"
{
	printf 'assay: 1\nsuite: chance\nroot: host\nlimits: {time: 1h}\n'
	printf 'mounts: [{path: /draws, source: %s, mode: rw}, {path: /draw, source: %s, mode: ro}]\n' "$work/draws" "$work/draw"
	printf 'phases: [{name: test, run: "eval \\"$WHAT\\""}]\nvariants: [{name: a}, {name: b}]\ncompare: [a, b]\npackages:\n'
	for p in 1 10 50; do
		for i in 1 2 3 4 5 6 7 8; do
			printf '  - {name: f%s-%s, version: "1", env: {WHAT: "/draw %s"}}\n' $p $i $p
		done
	done
	printf '  - {name: broken, version: "1", env: {WHAT: "[ $ASSAY_VARIANT = a ]"}}\n'
} >"$work/chance.yaml"
for night in 1 2 3; do "$assay" run --fresh "$work/chance.yaml" --jobs 4 >"$work/chance.log" 2>&1; done
fact "of three nights some flaky packages are suspected" test "$(ask "SELECT count(DISTINCT package || ' ' || run) FROM v_result WHERE suite = 'chance' AND repeat AND package <> 'broken'")" -ge 4
fact "and none is confirmed" is "$(ask "SELECT count(*) FROM v_verdict WHERE suite = 'chance' AND confidence = 'confirmed' AND package <> 'broken'")" 0
fact "what is broken is, each night" is "$(ask "SELECT count(*) FROM v_verdict WHERE suite = 'chance' AND confidence = 'confirmed' AND package = 'broken' AND verdict = 'regressed'")" 3
fact "and is not called flaky" is "$(ask "SELECT count(*) FROM v_flake WHERE known AND package = 'broken'")" 0
fact "some of the others are known to be flaky" test "$(ask "SELECT count(*) FROM v_flake WHERE known AND package LIKE 'f50-%'")" -ge 1
over
