#!/bin/bash
# The store looked after: refreshed by the phases that fetch alone, verified, exported, taken back, lost and made again from its archive.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

cat >"$work/suite.yaml" <<'EOF'
assay: 1
suite: fetchers
root: host
workdir: /build
mounts:
  - {path: /build, mode: cow}
stores:
  - {name: depot, path: /depot, rules: [{match: "tmp/**", do: drop}, {match: "never/**", do: reject}]}
packages: [good@1, other@2, hostile@1, gone@1]
variants: [{name: base}, {name: next}]
limits: {time: 1m, memory: 512M, processes: 64}
phases:
  - name: fetch
    once-per: package
    harvest: [depot]
    run: |
      mkdir -p /depot/pkg /depot/tmp
      case $ASSAY_PACKAGE in gone) echo "no such package"; exit 4;; esac
      case $ASSAY_PACKAGE in hostile) mkdir -p /depot/never; echo x >/depot/never/x;; esac
      echo "source of $ASSAY_PACKAGE" >"/depot/pkg/$ASSAY_PACKAGE"
      touch -d @1000000000 "/depot/pkg/$ASSAY_PACKAGE"
  - name: test
    goal: true
    run: echo "this must not run in a refresh"; exit 1
EOF

cache() { "$assay" cache "$@"; }
gone() { ! "$@" >/dev/null 2>&1; }
fact "a refresh says by its status that a package was not fetched" ends 1 cache refresh "$work/suite.yaml" --jobs 2
fact "and which" has "$said" "gone was not fetched: fail/exit"
fact "what came is in a table" has "$said" "good"
fact "nothing but fetches ran" is "$(ask "SELECT group_concat(DISTINCT phase) FROM v_phase")" fetch
fact "once for each package" is "$(ask "SELECT count(*) FROM v_phase")" 4
fact "a harvest that was refused is on record" has "$(ask "SELECT job, refused_all FROM v_harvest WHERE refused_all IS NOT NULL")" "never/x"

fact "the store is listed" has "$(cache list)" "fetchers/depot"
fact "who brought a file is known" has "$(cache who pkg/other)" "run 1 other@2 "
fact "all is as it should be" ends 0 cache verify
fact "a generation becomes an archive" ends 0 cache export "$work/a.tar.zst"
mkdir "$work/x"
fact "that any tar restores" tar --zstd -xf "$work/a.tar.zst" -C "$work/x"
fact "with what jobs brought" is "$(cat "$work/x/pkg/good")" "source of good"
fact "what one job brought can be taken back" has "$(cache revoke good)" "ended: pkg/good"
fact "and is gone" gone grep -q pkg/good <(cache entries)
# which of two jobs published first is chance: the database knows in which generation this one did
brought=$(ask "SELECT min(generation) FROM v_harvest WHERE package = 'good' AND generation IS NOT NULL")
fact "there is no way back to it" ends 3 cache rollback "${brought:-none}"
fact "and the reason is said" has "$said" "revoked since"

rm -rf "$ASSAY_STATE/layers" "$ASSAY_STATE"/assay.db*
fact "without its database a state directory is left alone" ends 2 "$assay" run "$work/suite.yaml"
fact "and it is said what brings it back" has "$said" "assay cache rebuild"
fact "which it does" ends 0 cache rebuild
fact "wholly" ends 0 cache verify
entries=$(cache entries)
fact "what was there is there" has "$entries" "pkg/other"
fact "what was revoked is not" gone grep -q pkg/good <<<"$entries"
fact "old generations can go" ends 0 cache collect --keep 0
fact "and all is as it should be" ends 0 cache verify
over
