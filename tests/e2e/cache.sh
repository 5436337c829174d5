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
limits: {time: 1h, memory: 512M, processes: 64}
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
lacks() { ! grep -qF -- "$2" <<<"$1"; }
gone() { ! "$@" >/dev/null 2>&1; }
fact "a refresh says by its status that a package was not fetched" ends 1 cache refresh "$work/suite.yaml" --jobs 2
fact "and which" has "$said" "gone was not fetched: fail/exit"
fact "what came is in a table" has "$said" "good"
fact "nothing but fetches ran" is "$(ask "SELECT group_concat(DISTINCT phase) FROM v_phase")" fetch
fact "once for each package" is "$(ask "SELECT count(*) FROM v_phase")" 4
# a directory that was made for the layer would be younger than the file that was linked into it
made() { stat -c %.9W "$@" 2>/dev/null | sort -n | head -1; }
taken() {
	local file
	for file in "$ASSAY_STATE"/layers/*/pkg/good; do
		[ "$(made "$file" "${file%/*}")" = "$(made "${file%/*}")" ] || return 1
	done
}
fact "the upper of a phase that none follows is the layer itself" taken
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
fact "without its database a state directory is left alone" ends 2 "$assay" run --fresh "$work/suite.yaml"
fact "and it is said what brings it back" has "$said" "assay cache rebuild"
fact "which it does" ends 0 cache rebuild
fact "wholly" ends 0 cache verify
entries=$(cache entries)
fact "what was there is there" has "$entries" "pkg/other"
fact "what was revoked is not" gone grep -q pkg/good <<<"$entries"
archived() { zstd -dcq "$ASSAY_STATE"/seg/*.tar.zst | grep -ac "$1"; }
fact "its bytes are in the archive" is "$(archived "source of good")" 1
# so that what goes is more than half of the segment
for p in one two three four; do
	mkdir "$work/in-$p"
	head -c 20000 /dev/urandom >"$work/in-$p/$p"
	fact "more comes in ($p)" ends 0 cache import fetchers/depot "$work/in-$p"
	fact "and is taken back" ends 0 cache revoke "$(ask "SELECT max(harvest) FROM v_harvest WHERE added > 0")"
done
was=$(du -b "$ASSAY_STATE/seg" | tail -n 1 | cut -f1)
fact "what would go is told" ends 0 cache collect --keep 0 --dry-run
fact "as a segment that is written anew" has "$said" "would write 1 segments without "
fact "old generations can go" ends 0 cache collect --keep 0
fact "and the segment" has "$said" "wrote 1 segments without "
fact "which is smaller then" test "$(du -b "$ASSAY_STATE/seg" | tail -n 1 | cut -f1)" -lt $((was - 60000))
fact "what was revoked has left it" is "$(archived "source of good")" 0
fact "what was not has not" is "$(archived "source of other")" 1
fact "and all is as it should be" ends 0 cache verify
fact "a second time there is nothing to do" lacks "$(cache collect --keep 0)" "segments without"
rm -rf "$ASSAY_STATE/layers" "$ASSAY_STATE"/assay.db*
fact "the archive brings back the store, once more" ends 0 cache rebuild
fact "wholly" ends 0 cache verify
fact "with what was there" is "$(cache entries | awk '{ print $4, $NF }')" "$(awk '{ print $4, $NF }' <<<"$entries")"

# ---- a store whose deletions count
ASSAY_STATE=$work/state2
deletes() { # NAME POLICY
	cat >"$work/$1.yaml" <<-END
		assay: 1
		suite: $1
		root: host
		stores: [{name: depot, path: /depot, deletions: $2, rules: [{match: keep, do: reject}]}]
		packages: [one]
		variants: [{name: base}]
		phases: [{name: fetch, once-per: package, harvest: [depot], run: sh -c "\$STEP"}, {name: test, run: "true"}]
		inherit-env: [STEP]
	END
}
step() { STEP=$2 ends "$1" cache refresh "$work/${3:-gone}.yaml"; }
generation() { ask "SELECT max(generation) FROM v_store WHERE current"; }
deletes gone apply
fact "a job fills a store" step 0 'mkdir /depot/d && echo 1 >/depot/d/a && echo 2 >/depot/d/b && echo 3 >/depot/c'
first=$(generation)
fact "another deletes from it" step 0 'rm -r /depot/d/a && echo 4 >/depot/e'
second=$(generation)
fact "that is a generation without it" is "$(cache entries | grep -c 'd/a')" 0
fact "with what is left" has "$(cache entries)" d/b
fact "and with what came" has "$(cache entries)" " e"
fact "the next one does not see it" step 0 'test ! -e /depot/d/a && test -e /depot/d/b && rm -r /depot/d'
third=$(generation)
fact "nor what was deleted whole" step 0 'test ! -e /depot/d && test -e /depot/c'
fact "the difference says so" has "$(cache diff "$first" "$second")" "gone"
fact "of both" is "$(ask "SELECT count(*) FROM v_entry WHERE path LIKE 'd/%' AND type = 'f' AND current")" 0
fact "the store is as it should be" ends 0 cache verify
fact "it is restored without" ends 0 cache restore gone/depot "$work/out"
fact "what is gone" is "$(cd "$work/out" && find . -type f | sort | tr '\n' ' ')" "./c ./e "
fact "an archive has no more" ends 0 cache export "$work/b.tar.zst"
fact "than that" is "$(tar --zstd -tf "$work/b.tar.zst" | grep -v '/$' | sort | tr '\n' ' ')" "c e "
names() { cache entries | awk '{ print $1 }' | sort | tr '\n' ' '; }
before=$(names)
rm -rf "$ASSAY_STATE/layers" "$ASSAY_STATE"/assay.db*
fact "the archive alone" ends 0 cache rebuild
fact "brings back the same" is "$(names)" "$before"
fact "without what is gone" is "$(cache entries | grep -c 'd/[ab]')" 0
fact "whole" ends 0 cache verify
fact "compacted it shows the same" ends 0 cache compact
fact "and is whole" ends 0 cache verify
fact "without what is gone, too" is "$(cache entries | grep -c 'd/[ab]')" 0
fact "what was deleted may come again" step 0 'mkdir /depot/d && echo 5 >/depot/d/a'
fact "and is there" has "$(cache entries)" d/a
fact "taken back" ends 0 cache revoke "$(ask "SELECT max(harvest) FROM v_harvest WHERE added > 0")"
fact "it does not uncover what was deleted before" is "$(cache entries | grep -c 'd/[ab]')" 0
fact "nor in the layers" ends 0 cache restore gone/depot "$work/out2"
fact "by name" is "$(cd "$work/out2" && find . -type f | sort | tr '\n' ' ')" "./c ./e "
fact "collecting what is old" ends 0 cache collect --keep 100 --max-size 1K
fact "leaves it gone" is "$(cache entries | grep -c 'd/[ab]')" 0
fact "and all whole" ends 0 cache verify
fact "an older generation still has it" ends 0 cache rollback "$(ask "SELECT min(generation) FROM v_store")"
fact "and shows it again" has "$(cache entries)" d/a
deletes no reject
step 0 'echo 1 >/depot/a' no
fact "where deletions are not allowed" step 1 'rm /depot/a; echo 2 >/depot/b' no
fact "nothing of it comes in" has "$(ask "SELECT refused_all FROM v_harvest WHERE refused_all IS NOT NULL")" "a: it was deleted, which this store does not allow"

# ---- a store that demands two packages
ASSAY_STATE=$work/state3
cat >"$work/two.yaml" <<'END'
assay: 1
suite: two
root: host
stores: [{name: depot, path: /depot, trust: 2}]
packages: [one, more]
variants: [{name: base}]
phases:
  - name: fetch
    once-per: package
    harvest: [depot]
    run: |
      mkdir -p /depot/d
      test -e /depot/d/shared || echo "both have it" >/depot/d/shared
      echo "of $ASSAY_PACKAGE alone" >"/depot/d/$ASSAY_PACKAGE"
      touch -d @1000000000 /depot/d/*
  - {name: test, run: "true"}
END
pending() { cache entries --pending | awk '{ print $NF }' | sort | tr '\n' ' '; }
words() { ask "SELECT group_concat(path || ' ' || package || ' ' || pending, ', ') FROM (SELECT * FROM v_word WHERE revoked_ms IS NULL ORDER BY path, package)"; }
fact "each package brings what it can" ends 0 cache refresh "$work/two.yaml" --jobs 2
fact "the report says what waits" has "$said" PENDING
fact "what both brought is there" has "$(cache entries)" d/shared
fact "by the word of both" is "$(ask "SELECT count(*) FROM v_word WHERE path = 'd/shared' AND NOT pending")" 2
fact "what one brought is not" is "$(cache entries | grep -c 'd/one\|d/more')" 0
fact "but pending" is "$(pending)" "PATH d/more d/one "
fact "who brought it is known" has "$(cache who d/one)" "run 1 one@"
fact "its bytes are nowhere" is "$(archived "of one alone")" 0
fact "the store is whole" ends 0 cache verify
fact "it is restored without" ends 0 cache restore two/depot "$work/out3"
fact "what is pending" is "$(cd "$work/out3" && find . -type f | tr '\n' ' ')" "./d/shared "
fact "a second night" ends 0 cache refresh "$work/two.yaml" --jobs 2
fact "says nothing new" is "$(ask "SELECT count(*) FROM v_word")" "$(ask "SELECT count(*) FROM v_word WHERE run = 1")"
fact "of two that brought it one is taken back" has "$(cache revoke one)" "ended: d/shared"
fact "and with it what they had in common" is "$(cache entries 2>/dev/null | grep -c d/shared)" 0
fact "which waits again" is "$(pending)" "PATH d/more d/shared "
before=$(words)
rm -rf "$ASSAY_STATE/layers" "$ASSAY_STATE"/assay.db*
fact "from the archive alone" ends 0 cache rebuild
fact "the same words come back" is "$(words)" "$before"
fact "as whole as they were" ends 0 cache verify
fact "it may be brought again" ends 0 cache refresh "$work/two.yaml"
fact "and is there again" has "$(cache entries)" d/shared
over
