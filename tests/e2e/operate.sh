#!/bin/bash
# A run that goes on is watched, paused, given more processors, and rid of packages, through its socket; a program is told of it in lines.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

cat >"$work/suite.yaml" <<'END'
assay: 1
suite: operate
root: host
workdir: /build
mounts: [{path: /build, mode: cow}]
phases:
  - name: build
    once-per: package
    run: 'true'
  - name: test
    run: 'case $ASSAY_PACKAGE in long*) sleep 3000.MARK ;; *) sleep 0.2 ;; esac'
packages: [long1, long2, {id: 'p 1', name: p1}, p2, p3, p4, p5, p6]
variants: [{name: a}, {name: b}]
compare: [a, b]
END
sed -i "s/MARK/$$/" "$work/suite.yaml"
"$assay" run --fresh "$work/suite.yaml" --jobs 2 --porcelain >"$work/lines" 2>"$work/err" &
pid=$!
started+=("$pid")
# shows PATTERN: a snapshot of the run has it
shows() { (set +o pipefail; "$assay" watch --json </dev/null 2>/dev/null | head -n 1 | grep -q -- "$1"); }
fact "a run listens" until_true 300 shows '"run":1'
[ $failures = 0 ] || { cat "$work/err"; over; }
fact "to its own user only" is "$(stat -c %a "$ASSAY_STATE/socket")" 600
both() { [ "$(grep -c '^START long. [ab] test' "$work/lines")" = 2 ]; }
fact "two that take long hold both processors" until_true 300 both
fact "a snapshot tells of them" until_true 300 shows '"jobs_used":2.*"package":"long[12]"'
fact "more processors are given" ends 0 "$assay" set 1 jobs=4
fact "and that is said" has "$said" "jobs=4"
four() { [ "$(grep -c '^START long. [ab] test' "$work/lines")" = 4 ]; }
fact "and used" until_true 300 four
fact "another run's number is refused" ends 3 "$assay" pause 7
fact "and told" has "$said" "run 1 goes on, not run 7"
fact "nonsense is refused" ends 3 "$assay" set 1 jobs=0
fact "a package that there is not is told" ends 3 "$assay" cancel 1 nothing
fact "it is paused" ends 0 "$assay" pause 1
fact "which a program is told" until_true 300 grep -q '^HELD paused' "$work/lines"
fact "packages are cancelled" ends 0 "$assay" cancel 1 long1 long2
cancelled() { [ "$(grep -c '^ACK long. [ab] kill test cancelled' "$work/lines")" = 4 ]; }
fact "their results say so" until_true 300 cancelled
fact "while it is paused nothing starts" is "$(grep -c '^START p' "$work/lines")" "$(sleep 0.7; grep -c '^START p' "$work/lines")"
fact "it goes on" ends 0 "$assay" unpause 1
wait $pid
fact "and ends" is "$(tail -n 1 "$work/lines")" "DONE 1 done 16 16"
fact "an acknowledged result is recorded" is "$(grep -c '^ACK' "$work/lines")" "$(ask "SELECT count(*) FROM v_result")"
fact "a blank in a name is none in a line" grep -q '^ACK p%201 a pass test ok ' "$work/lines"
fact "every line is one of those promised" bash -c '! grep -vE "^(RUN|START|END|ACK|HELD|GO|DONE)( |$)" "$1"' - "$work/lines"
fact "its socket is gone" test ! -e "$ASSAY_STATE/socket"
fact "no run goes on any more" ends 2 "$assay" watch
fact "and that is said" has "$said" "no run is going on"

# ---- the whole run, ended and gone on with
"$assay" run --fresh "$work/suite.yaml" --jobs 2 --only long1 p3 >"$work/out" 2>&1 &
pid=$!
started+=("$pid")
fact "another run listens" until_true 300 shows '"run":2'
"$assay" watch </dev/null >"$work/watched" 2>&1 &
watcher=$!
started+=("$watcher")
until_true 300 test -s "$work/watched"
fact "the whole of it is ended" ends 0 "$assay" cancel 2
wait $pid
fact "its exit status says so" is $? 2
wait $watcher
fact "who watched is told in plain lines" grep -q "^run 2: " "$work/watched"
fact "and how it ended" grep -q "^the run is interrupted" "$work/watched"
fact "it can be gone on with" is "$(ask "SELECT state FROM v_run WHERE run = 2")" interrupted

# ---- systemd
if command -v python3 >/dev/null; then
	python3 -c '
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
with open(sys.argv[2], "w", 1) as seen:
    while True:
        print(s.recv(4096).decode(), file=seen)' "$work/notify" "$work/told" &
	listener=$!
	started+=("$listener")
	until_true 300 test -S "$work/notify"
	# two at once: longer than a tick of the watchdog, on whatever machine
	notified() { NOTIFY_SOCKET=$work/notify WATCHDOG_USEC=1000000 "$assay" run --fresh "$work/suite.yaml" --jobs 2 --only p2 p3 p4 p5 p6 >"$work/out" 2>&1; }
	# what comes while ten are waiting to be read is lost, as systemd(1) has it: then once more
	stops() { until_true 20 grep -q '^STOPPING=1' "$work/told" || { notified; until_true 300 grep -q '^STOPPING=1' "$work/told"; }; }
	notified
	fact "systemd is told that it is ready" until_true 300 grep -q '^READY=1' "$work/told"
	fact "how far it is" until_true 300 grep -qE '^STATUS=run [0-9]+: [0-9]+ of 10 jobs done' "$work/told"
	fact "that it is alive" until_true 300 grep -q '^WATCHDOG=1' "$work/told"
	fact "and that it ends" stops
fi
fact "nothing of it is alive" bash -c '! pgrep -f "^sleep 3000[.]$1\$"' - $$
over
