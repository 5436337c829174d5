#!/bin/bash
# The file system of the state directory is really full in the middle of a run: no package is blamed, the run says what is the matter and
# how to go on, and with room again it does, to the results there should be.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
[ "$(id -u)" = 0 ] || skip "a file system of its own takes root"
mkdir "$work/fs"
mount -t tmpfs -o size=220m,mode=755 assay-e2e "$work/fs" 2>/dev/null || skip "no tmpfs can be mounted"
done_() {
	umount -l "$work/fs"
	quit
}
trap done_ EXIT
export ASSAY_STATE=$work/fs/state

# all but the first four tests wait until there is no room: however late that comes, they are not done by then
mkdir -m 777 "$work/gate"
cat >"$work/suite.yaml" <<END
assay: 1
suite: disk
root: host
workdir: /build
mounts: [{path: /build, mode: cow}, {path: /gate, source: $work/gate, mode: rw}]
phases:
  - name: build
    run: 'head -c 1M /dev/urandom > /build/big; touch /build/built'
  - name: test
    # without room this fails as a program would
    run: |
      mkdir /gate/1 2>/dev/null || mkdir /gate/2 2>/dev/null || mkdir /gate/3 2>/dev/null || mkdir /gate/4 2>/dev/null ||
        until [ -e /gate/open ]; do sleep 0.05; done
      for i in 1 2 3 4 5 6 7 8; do head -c 300K /dev/urandom > /build/out.\$i; sleep 0.1; done
packages: [p0, p1, p2, p3, p4, p5, p6, p7, p8, p9]
variants: [{name: a}, {name: b}]
compare: [a, b]
END
some() { [ "$(ask "SELECT count(*) FROM v_result")" -ge 2 ]; }
"$assay" run --fresh "$work/suite.yaml" --jobs 4 >"$work/out" 2>&1 &
pid=$!
started+=("$pid")
fact "some jobs are done" until_true 300 some
cat /dev/zero >"$work/fs/full" 2>/dev/null
: >"$work/gate/open"
over_() { ! kill -0 $pid 2>/dev/null; }
fact "with the disk full the run ends, or waits for room" until_true 300 over_
wait $pid
status=$?
fact "its exit status says that the trouble is ours" is $status 2
fact "what is the matter is said" grep -qE "No space left|too little room" "$work/out"
fact "and how to go on" grep -q "go on with: assay resume 1" "$work/out"
rm "$work/fs/full"
fact "no package is blamed" is "$(ask "SELECT count(*) FROM v_result WHERE status NOT IN ('pass', 'infra')")" 0
passed=$(ask "SELECT count(*) FROM v_result WHERE status = 'pass'")
fact "with room again it is gone on with" ends 0 "$assay" resume
fact "what had passed was not run again" is "$(ask "SELECT count(*) FROM v_result WHERE status = 'pass'")" 20
fact "some had to be" test "$passed" -lt 20
fact "the database is whole" is "$(ask "PRAGMA integrity_check")" ok
over
