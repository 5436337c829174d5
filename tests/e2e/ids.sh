#!/bin/bash
# A range of ids, the whole way: packages give files to other users and become them, as apt and dpkg do; the next phase knows the
# owners again, the store takes what may be read and says what may not, a second run brings nothing new, and nothing is left that
# could not be removed, not even after a kill -9. As an ordinary user with subordinate ids, and as root.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

if [ "$(id -u)" != 0 ]; then
	command -v newuidmap >/dev/null || skip "no newuidmap (package uidmap)"
	grep -qE "^($(id -un)|$(id -u)):" /etc/subuid || skip "$(id -un) has no subordinate ids in /etc/subuid"
fi

cat >"$work/suite.yaml" <<END
assay: 1
suite: ids
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
    run: |
      umask 022
      p=\$ASSAY_PACKAGE
      mkdir -p /depot/pkg
      echo "\$p" >/depot/pkg/\$p
      echo "of 1" >/depot/pkg/\$p.by-1
      chown 1:1 /depot/pkg/\$p.by-1
      touch -d @1000000000 /depot/pkg/*
      # apt's own user downloads into a directory of its own
      mkdir -p -m 700 /depot/partial-\$p
      chown 42:43 /depot/partial-\$p
      chmod 700 /depot/partial-\$p
      [ "\$(setpriv --reuid 42 --regid 43 --clear-groups sh -c "id -u; echo half >/depot/partial-\$p/x")" = 42 ]
      mkdir -p /depot/half-open-\$p
      chmod 744 /depot/half-open-\$p
      : >/depot/half-open-\$p/f
      chown 42:43 /depot/half-open-\$p
      echo secret >/depot/closed-\$p
      chmod 600 /depot/closed-\$p
      chown 42:43 /depot/closed-\$p
      : >mine
      : >theirs
      chown 1000:1000 theirs
      mkdir -m 700 home
      : >home/f
      chown -R 65534:65534 home
  - name: build
    run: |
      stat -c '%n %u:%g %a' mine theirs home home/f | tee owners
      printf 'mine 0:0 644\ntheirs 1000:1000 644\nhome 65534:65534 700\nhome/f 65534:65534 644\n' | cmp - owners
      setpriv --reuid 65534 --regid 65534 --clear-groups sh -c 'echo more >>home/f; mkdir home/d; chmod 000 home/d'
      chmod 000 home
  - name: test
    goal: true
    run: |
      [ "\$(stat -c '%u %a' home)" = "65534 0" ]
      cat /depot/pkg/\$ASSAY_PACKAGE
      mkdir deep
      (cd deep; i=1; while [ \$i -lt 30 ]; do mkdir -m 700 d; chown \$i d; cd d; i=\$((i + 1)); done)
      case \$ASSAY_PACKAGE in
      slow) sleep 3000.$$ ;;
      esac
packages: [one, two]
variants: [{name: a}, {name: b}]
compare: [a, b]
END
sed 's/^packages: .*/packages: [slow]/' "$work/suite.yaml" >"$work/slow.yaml"

fact "it runs with a range of ids" ends 0 "$assay" run --fresh "$work/suite.yaml" --ids range --jobs 2
statuses() { ask "SELECT group_concat(DISTINCT status) FROM v_result WHERE run = (SELECT max(id) FROM run)"; }
fact "every phase passed" is "$(statuses)" pass
entries() { ask "SELECT group_concat(path, ' ') FROM (SELECT DISTINCT path FROM v_entry WHERE type = 'f' ORDER BY path)"; }
theirs="" # root may read everything
[ "$(id -u)" != 0 ] || theirs="closed-one closed-two half-open-one/f half-open-two/f partial-one/x partial-two/x "
fact "the store has what may be read" is "$(entries)" "${theirs}pkg/one pkg/one.by-1 pkg/two pkg/two.by-1"
refused() { ask "SELECT group_concat(path || ': ' || reason, '; ') FROM (SELECT DISTINCT path, reason FROM v_note
	WHERE change = 'refused' AND path LIKE '%-one%' ORDER BY path)"; }
told=""
[ "$(id -u)" = 0 ] || told="closed-one: a file we may not read; half-open-one: a directory we may not read; partial-one: a directory we may not read"
fact "what may not is told" is "$(refused)" "$told"
fact "all of the store belongs to who runs assay" is "$(find "$ASSAY_STATE/layers" -path '*.list' -o ! -uid "$(id -u)" -print | head)" ""
fact "no directory of a job is left" is "$(find "$ASSAY_STATE/jobs" -mindepth 2 2>&1 | head)" ""
fact "the run tells which ids its boxes had" has "$(ask "SELECT engine FROM run")" \
	"$([ "$(id -u)" = 0 ] && echo root || echo "range of ids")"

generations=$(ask "SELECT count(*) FROM generation")
fact "it runs again" ends 0 "$assay" run --fresh "$work/suite.yaml" --ids range --jobs 2
fact "every phase passes again" is "$(statuses)" pass
fact "and brings the store nothing" is "$(ask "SELECT count(*) FROM generation")" "$generations"
fact "nor leaves anything" is "$(find "$ASSAY_STATE/jobs" -mindepth 2 2>&1 | head)" ""

sleeping() { pgrep -f "^sleep 3000[.]$$\$" >/dev/null; }
awake() { ! sleeping; }
"$assay" run --fresh "$work/slow.yaml" --ids range --jobs 2 >"$work/out" 2>&1 &
pid=$!
started+=("$pid")
fact "a third is on its way" until_true 300 sleeping
kill -KILL "$pid"
wait "$pid" 2>/dev/null
fact "after kill -9 no process of a job is alive" until_true 300 awake
left() { find "$ASSAY_STATE/jobs" -mindepth 2 -maxdepth 2 | grep . >/dev/null; }
fact "its directories are left" left
fact "the next start sweeps them, whoever owns what is in them" ends 0 "$assay" run --fresh "$work/suite.yaml" --ids range --only one
fact "and says nothing about it" is "$(grep -c sweep <<<"$said")" 0
fact "and passes" is "$(statuses)" pass
fact "nothing is left" is "$(find "$ASSAY_STATE/jobs" -mindepth 2 2>&1 | head)" ""

if [ "$(id -u)" != 0 ]; then
	fact "one id is not enough for this suite" ends 0 "$assay" run --fresh "$work/suite.yaml" --ids one --jobs 2
	fact "it fails there, and that is the package's result" is \
		"$(ask "SELECT group_concat(DISTINCT status || ' ' || phase) FROM v_result WHERE run = (SELECT max(id) FROM run)")" "fail fetch"
else
	# as before Linux 5.19, and then as since
	generations=$(ask "SELECT count(*) FROM generation")
	export ASSAY_BOX_IDMAP=off
	fact "without idmapped mounts it runs too" ends 0 "$assay" run --fresh "$work/suite.yaml" --jobs 2
	fact "and brings the store nothing, whose layers are given to the boxes" is "$(ask "SELECT count(*) FROM generation")" "$generations"
	fact "every phase passed then" is "$(statuses)" pass
	fact "on disk they are nobody's" is "$(find "$ASSAY_STATE/layers" -mindepth 1 ! -name '*.list' -uid -2147090432 -print | head)" ""
	unset ASSAY_BOX_IDMAP
	fact "with them it runs again" ends 0 "$assay" run --fresh "$work/suite.yaml" --jobs 2
	fact "and passes" is "$(statuses)" pass
	fact "all of the store is root's again" is "$(find "$ASSAY_STATE/layers" -uid +65535 -print | head)" ""
	fact "root's boxes are never without" ends 3 "$assay" run --fresh "$work/suite.yaml" --ids one
	fact "and it is said why" has "$said" "a box of root's always has a range of ids"
fi
fact "another word is no ids" ends 3 "$assay" run --fresh "$work/suite.yaml" --ids many
over
