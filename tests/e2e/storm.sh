#!/bin/bash
# kill -9 at twelve moments of runs that fetch, publish and record; each next start repairs what the last one left, and in the end the store,
# its archive and the database say the same.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
command -v python3 >/dev/null || skip "no python3"

cat >"$work/list" <<'END'
#!/bin/sh
i=0
while [ $i -lt 40 ]; do
	echo "{\"name\": \"p$i\", \"version\": \"$1\"}"
	i=$((i + 1))
done
END
chmod 755 "$work/list"
suite() { # VERSION
	cat >"$work/suite.yaml" <<-END
		assay: 1
		suite: storm
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
		    run: 'mkdir -p /depot/\$ASSAY_PACKAGE; seq 2000 > /depot/\$ASSAY_PACKAGE/\$ASSAY_VERSION; echo \$ASSAY_PACKAGE\$ASSAY_VERSION > /depot/\$ASSAY_PACKAGE/name-\$ASSAY_VERSION'
		  - name: test
		    run: 'test -s /depot/\$ASSAY_PACKAGE/\$ASSAY_VERSION'
		packages: [{command: ./list $1}]
		variants: [{name: a}, {name: b}]
		compare: [a, b]
	END
}

published() { [ "$(ask "SELECT count(*) FROM v_harvest WHERE generation IS NOT NULL")" -gt "$1" ]; }
for round in 1 2 3 4 5 6 7 8 9 10 11 12; do
	suite "$round"
	before=0
	[ $round = 1 ] || before=$(ask "SELECT count(*) FROM v_harvest WHERE generation IS NOT NULL")
	"$assay" run --fresh "$work/suite.yaml" --jobs 2 >"$work/out" 2>&1 &
	pid=$!
	started+=("$pid")
	# some die before the first publish, some right after one, some deep in the run
	if [ $((round % 3)) != 0 ]; then
		until_true 300 published $((before + round % 4)) 2>/dev/null
	fi
	sleep "0.0$((round * 7 % 10))"
	kill -KILL "$pid" 2>/dev/null
	wait "$pid" 2>/dev/null
done 2>/dev/null
suite 99
fact "after twelve kills a run works" ends 0 "$assay" run --fresh "$work/suite.yaml"
fact "and has all its results" is "$(ask "SELECT count(*) FROM v_result WHERE run = (SELECT max(id) FROM run) AND status = 'pass'")" 80
fact "several of the killed ones had published" test "$(ask "SELECT count(DISTINCT run) FROM v_harvest WHERE generation IS NOT NULL")" -ge 5
fact "the killed runs are aborted" is "$(ask "SELECT count(*) FROM run WHERE state = 'running'")" 0
fact "nothing of them is left to clean" is "$(ls "$ASSAY_STATE/jobs" "$ASSAY_STATE/tmp" "$ASSAY_STATE/trash" | grep -cv -e : -e '^$')" 0

cat >"$work/check.py" <<'END'
"""Database, layers and archive of a state directory say the same."""
import hashlib, os, sqlite3, subprocess, sys, tarfile
state = sys.argv[1]
db = sqlite3.connect(f"file:{state}/assay.db?mode=ro", uri=True)
bad = [r[0] for r in db.execute("PRAGMA integrity_check") if r[0] != "ok"] + [str(r) for r in db.execute("PRAGMA foreign_key_check")]
for number, size in db.execute("SELECT number, bytes FROM segment"):
    is_ = os.stat(f"{state}/seg/{number:06}.tar.zst").st_size
    if is_ != size:
        bad.append(f"segment {number} has {is_} bytes, committed are {size}")
known = {r[0] for r in db.execute("SELECT lower(hex(digest)) FROM layer")} if "blob" in str(
    db.execute("SELECT typeof(digest) FROM layer").fetchone()) else {r[0] for r in db.execute("SELECT digest FROM layer")}
there = {n for n in os.listdir(f"{state}/layers") if not n.endswith(".list")}
if known != there:
    bad.append(f"layers known {sorted(known - there)} are not there, {sorted(there - known)} are not known")
entries = db.execute("SELECT path, type, sha256, layer FROM v_entry WHERE type = 'f'").fetchall()
for path, _, digest, layer in entries:
    with open(f"{state}/layers/{layer}/{path}", "rb") as f:
        if hashlib.sha256(f.read()).hexdigest() != digest:
            bad.append(f"{path} in {layer} is not what the database says")
print(len(entries), "files checked")
for b in bad:
    print(b)
sys.exit(bool(bad))
END
fact "database, layers and archive say the same" python3 "$work/check.py" "$ASSAY_STATE"
if command -v zstd >/dev/null; then
	mkdir "$work/restored"
	fact "the archive restores" bash -c 'cat "$1"/seg/*.tar.zst | tar --zstd -x -C "$2"' - "$ASSAY_STATE" "$work/restored"
	fact "to as many files as the store has" is \
		"$(find "$work/restored" -type f -not -path '*/.assay/*' | wc -l)" "$(ask "SELECT count(DISTINCT path) FROM v_entry WHERE type = 'f'")"
fi
over
