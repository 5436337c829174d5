#!/bin/bash
# assay doctor: what it says of this machine is so, whoever asks, and nothing is left of the asking.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

mkdir "$work/above"
state=$work/above/state
doctor() { "$assay" doctor --state "$state" "$@"; }
status=0
"$assay" doctor --state "$state" --json >"$work/doctor.json" 2>"$work/said" &
asked=$!
wait $asked || status=$?
# has_of NAME: what the row of that name says: yes, partly, no
has_of() { python3 -c 'import json, sys; print(next(a["has"] for a in json.load(open(sys.argv[1])) if a["name"] == sys.argv[2]))' "$work/doctor.json" "$1"; }
# agrees NAME COMMAND...: the command works if and only if the row says yes; of partly nothing is known
agrees() {
	local says works=yes
	says=$(has_of "$1") || return
	"${@:2}" >"$work/agree.log" 2>&1 || works=no
	[ "$says" = partly ] || is "$says" "$works" || { cat "$work/agree.log"; return 1; }
}
fact "nothing is told but the answers" is "$(cat "$work/said")" ""
whole() {
	python3 - "$work/doctor.json" <<'P'
import json, sys
rows = json.load(open(sys.argv[1]))
names = [r["name"] for r in rows]
assert len(rows) > 20 and len(set(names)) == len(names), names
for r in rows:
    assert set(r) == {"name", "has", "found", "follows", "get"} and r["has"] in ("yes", "partly", "no") and r["found"], r
    assert r["has"] == "yes" or r["follows"], r
P
}
fact "each ability is told once and whole; what is missing with what follows" whole
fact "a box: as it is" agrees "a box" "$assay" sandbox -- true
fact "the exit status is that of a box" is "$status" "$([ "$(has_of "a box")" = yes ] && echo 0 || echo 2)"
[ "$(has_of "a box")" = yes ] || { over && exit 0; }
keep() { "$assay" sandbox --keep "$work/above/keep" -- sh -c 'echo x >/opt/x' && [ "$(cat "$work/above/keep/opt/x")" = x ]; }
fact "an overlay on disk: as it is" agrees "overlay on disk" keep
fact "a range of ids: as it is" agrees "a range of ids" "$assay" sandbox --ids range -- sh -c 'chown 7:7 /tmp'
for e in crun runc podman docker; do
	fact "executor $e: as it is" agrees "executor $e" "$assay" sandbox --executor $e -- true
done
for a in i386 io-uring fuse kvm perf dumps aio; do
	fact "--allow $a: as it is" agrees "allow $a" "$assay" sandbox --allow $a -- true
done
nat() { "$assay" sandbox --net nat -- sh -c 'grep -v -e lo: -e "|" /proc/net/dev | grep -q :'; }
fact "the network by pasta: as it is" agrees "network by pasta" nat
cpus() { "$assay" sandbox --cpus 1 -- true; }
if [ "$(has_of "control groups")" = yes ]; then
	fact "a quota of processors, where groups have all: as it is" cpus
fi
lines() {
	local n
	n=$(doctor | grep -cE '^(ok|partly|no)  ')
	is "$n" "$(python3 -c 'import json, sys; print(len(json.load(open(sys.argv[1]))))' "$work/doctor.json")"
}
fact "for people the same, a line each" lines
# nothing PID: of that process's asking
nothing() { is "$(ls -A "$work/above" | grep -v '^keep$')" "" && [ ! -e "$state" ] && groups_left "$1"; }
trial() { ls -A "$work/above" | grep assay-doctor; }
trial_or_end() { trial || [[ " $(jobs -rp | tr '\n' ' ') " != *" $1 "* ]]; }
swept() { doctor >/dev/null; nothing "$1"; }
fact "nothing is left of it, and no state directory was made" nothing $asked
killed() {
	local p
	for _ in {1..30}; do # until one is met that has not ended before it is killed
		"$assay" doctor --state "$state" >/dev/null 2>&1 &
		p=$!
		started+=($p)
		until_true 300 trial_or_end $p
		kill -KILL $p 2>/dev/null
		wait $p 2>/dev/null
		! trial || break
	done
	trial || { echo "none could be killed in time"; return 1; }
	until_true 300 swept $p
}
fact "what a killed one left goes with the next" killed
# in a user namespace in which there may be no more of them
forbidden() { unshare -Ur sh -c 'echo 0 >/proc/sys/user/max_user_namespaces && exec "$@"' - "$assay" "$@"; }
if unshare -Ur sh -c 'echo 0 >/proc/sys/user/max_user_namespaces' 2>/dev/null; then
	fact "where no user namespace may be made it is 2" ends 2 forbidden doctor --state "$state"
	fact "the kernel's own word is told" has "$said" "No space left on device"
	fact "and how to get them" has "$said" "sysctl user.max_user_namespaces"
	fact "and in a word" has "$said" "No box can be made here."
fi
no_helper() { ASSAY_BOX=$work/none "$assay" doctor --state "$state"; }
fact "without its helper it is 2" ends 2 no_helper
fact "which is named" has "$said" "there is no $work/none"
fact "arguments are none" ends 3 "$assay" doctor now
fact "the manual has it" grep -q '"doctor ' "$source/deploy/man/assay.1"
over
