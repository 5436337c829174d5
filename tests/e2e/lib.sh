# What the stories share: sourced with the build directory as $1. Gives $assay, $source, $work (removed at the end), a state
# directory of its own, and the words below. Ends what it started, also when a check fails.
set -uo pipefail
build=$(cd "$1" && pwd)
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source=$(cd "$here/../.." && pwd)
assay=$build/assay

skip() { echo "skipped: $*"; exit 77; }
[ -x "$assay" ] || skip "no $assay"

work=$(mktemp -d "${TMPDIR:-/tmp}/assay-e2e.XXXXXX")
# a job's ids must reach what a suite names on this machine
chmod 755 "$work"
ASSAY_STATE=$work/state
export ASSAY_STATE
unset XDG_STATE_HOME ASSAY_DATA
# what others do to this machine is no reason for a story to wait
export ASSAY_PRESSURE=off
started=()
quit() {
	local p
	# what was waited for is gone, and its number may be somebody else's by now
	for p in ${started[@]+"${started[@]}"}; do
		! grep -qsx "PPid:[[:space:]]$$" "/proc/$p/status" || kill -KILL "$p" 2>/dev/null
	done
	# what was killed may have left directories that even their owner may not enter
	rm -rf "$work" 2>/dev/null || { chmod -R u+rwx "$work"; rm -rf "$work"; }
}
trap quit EXIT

failures=0
# fact TEXT COMMAND...: the command must succeed
fact() {
	local text=$1
	shift
	if "$@" >"$work/fact.log" 2>&1; then
		echo "ok   $text"
	else
		echo "FAIL $text"
		sed 's/^/     /' "$work/fact.log"
		failures=$((failures + 1))
	fi
}
over() {
	[ $failures = 0 ] || { echo "$failures facts do not hold"; exit 1; }
}
is() { [ "$1" = "$2" ] || { echo "it is '$1', not '$2'"; return 1; }; }
has() { grep -qF -- "$2" <<<"$1" || { printf "'%s' is not in: %s\n" "$2" "$1"; return 1; }; }
ask() { "$assay" query --format csv "$1" | tail -n +2; }
# ends STATUS COMMAND...: it must end with that exit status; what it said is in $said
ends() {
	local want=$1 got=0
	shift
	said=$("$@" 2>&1) || got=$?
	[ "$got" = "$want" ] || { printf 'it ended with %s, not %s: %s\n' "$got" "$want" "$said"; return 1; }
}
# until_true SECONDS COMMAND...: poll until it succeeds; the limit is for what will never come: a busy machine may take a minute
until_true() {
	local end=$((SECONDS + $1))
	shift
	until "$@"; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.05
	done
}
# groups_left PID: the control groups that assay made for itself as this process, wherever; fails with them if there are any
groups_left() {
	local mounts left
	mapfile -t mounts < <(awk '$3 == "cgroup" || $3 == "cgroup2" { print $2 }' /proc/self/mounts)
	# a group that goes while it is looked at is no trouble
	left=$([ ${#mounts[@]} = 0 ] || find "${mounts[@]}" -type d \( -name "assay-*.$1" -o -name "assay-*.$1-*" \) 2>/dev/null)
	[ -z "$left" ] || { echo "$left"; return 1; }
}
# groups_swept PID COMMAND...: the same; those that are left go with the command, which sweeps. Not at once while one that was killed
# is still on its last instructions, or its number is another process's.
groups_swept() { groups_left "$1" >/dev/null || { "${@:2}" >/dev/null 2>&1; groups_left "$1"; }; }
