#!/bin/bash
# A package of a run goes to another machine (another state directory) and does there what it did here; and what comes from anywhere reaches nothing.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
command -v zstd >/dev/null || skip "no zstd"

mkdir -p "$work/tool/opt" "$work/far"
echo 1 >"$work/tool/opt/version"
echo seed >"$work/seed"
cat >"$work/suite.yaml" <<-'END'
	assay: 1
	suite: exchange
	root: host
	workdir: /build
	mounts: [{path: /build, mode: cow}]
	env: {GREETING: "it's \"1.10\"\tand Ü"}
	limits: {time: 50m, memory: 256M, processes: 64, log: 1M, disk: 64M}
	stores:
	  - {name: cans, path: /cans, rules: [{match: "tmp/**", do: drop}, {match: "**", do: same}]}
	phases:
	  - name: fetch
	    once-per: package
	    network: host
	    offline-first: true
	    harvest: [cans]
	    run: |
	      [ -e /cans/$ASSAY_PACKAGE ] || [ $ASSAY_OFFLINE = 0 ]
	      [ -e /cans/$ASSAY_PACKAGE ] || echo canned >/cans/$ASSAY_PACKAGE
	      cp /cans/$ASSAY_PACKAGE got
	  - name: test
	    goal: true
	    limits: {cpus: 1, silence: 40m}
	    run: |
	      echo "$GREETING" >said
	      grep -q canned got
	      grep -q seed /input/in/seed
	      [ "$(cat /opt/version)" = 1 ] || { echo "Error: too new"; exit 4; }
	log-rules: [{match: "^Error: too new", reason: fail/test-failed, phase: test}]
	packages: [{name: can, version: 1.0, files: {in/seed: seed}}, other]
	variants:
	  - {name: old, layers: [tool-1]}
	  - {name: new, layers: [tool-2], env: {SIDE: new}}
	compare: [old, new]
END
"$assay" layer import tool-1 "$work/tool" >/dev/null
echo 2 >"$work/tool/opt/version"
"$assay" layer import tool-2 "$work/tool" >/dev/null
fact "a run" ends 0 "$assay" run --fresh "$work/suite.yaml" --only can --jobs 2 --repeats 0
fact "goes into a file" ends 0 "$assay" export 1 can "$work/can.assay"
fact "which is told with its digest" has "$said" "SHA-256 $(sha256sum <"$work/can.assay" | cut -c1-64)"
fact "and with what else it needs" has "$said" "root: host"
fact "again it is the same" ends 0 "$assay" export 1 can "$work/again.assay"
fact "byte for byte" cmp "$work/can.assay" "$work/again.assay"
fact "it is a plain archive" has "$(tar --zstd -tf "$work/can.assay")" "assay.json"
sum=$(sha256sum <"$work/can.assay" | cut -c1-64)

far() { ASSAY_STATE=$work/far/state "$assay" "$@"; }
fact "elsewhere it is taken in" ends 0 far import "$work/can.assay" --sha256 "$sum"
fact "with what its boxes may" has "$said" "its phase fetch has network host"
fact "as a run" has "$said" "it is run 1 here"
fact "made of the same" is "$(grep -c 'not as it was there' <<<"$said")" 0
fact "with its results" is "$(far query --format csv "SELECT variant, status, reason, phase FROM v_job ORDER BY variant" | tail -n +2)" $'new,fail,test-failed,test\nold,pass,ok,test'
fact "which regressed there, too" ends 0 far compare 1
fact "its box can be gone into" is "$(far shell 1 can --variant new -- sh -c 'cat got /opt/version /input/in/seed; echo "$GREETING" $SIDE' </dev/null 2>/dev/null)" $'canned\n2\nseed\nit\'s "1.10"\tand Ü new'
fact "its package run again" ends 0 far rerun 1 can --repeats 0
fact "without a network, upon what the store held" is "$(far query --format csv "SELECT DISTINCT network FROM v_phase WHERE run = 2 AND ended_as = 'exited'" | tail -n +2)" none
fact "once more it is taken in and run" ends 0 far import "$work/can.assay" --run --repeats 0 --jobs 2
fact "and is as recorded" has "$said" "new: fail/test-failed in test, as recorded"
fact "on both sides" has "$said" "old: pass/ok in test, as recorded"
fact "its layers have names of their own" is "$(far layer list --json | grep -c '"name": "tool-[12]"')" 0
fact "and so has its store" is "$(far query --format csv "SELECT count(*) FROM v_store WHERE store NOT LIKE 'exchange.%'" | tail -n +2)" 0
fact "nothing half taken in is left" is "$(ls "$work/far/state/imports" | grep part)" ""

# ---- what can't be
fact "an unknown run" ends 2 "$assay" export 9 can "$work/no"
fact "is told" has "$said" "there is no run 9"
fact "a package that was not in it" ends 2 "$assay" export 1 other "$work/no"
fact "is told" has "$said" "run 1 has no result of other"
fact "an unknown one" ends 2 "$assay" export 1 nothing "$work/no"
fact "is told" has "$said" "run 1 has no package nothing"
fact "nothing is left of them" is "$(ls "$work" | grep -c '^no')" 0
sed 's|layers: \[tool-1\]|layers: [./tool]|; s/suite: .*/suite: directory/' "$work/suite.yaml" >"$work/directory.yaml"
"$assay" run --fresh "$work/directory.yaml" --only can --repeats 0 >/dev/null 2>&1
fact "a directory as a layer" ends 3 "$assay" export 2 can "$work/no"
fact "is told with what to do" has "$said" "make it a layer with assay layer import"
mkdir "$work/live"
echo live >"$work/live/file"
sed "s|^mounts: .*|mounts: [{path: /build, mode: cow}, {path: /live, source: $work/live, mode: ro}]|; s/suite: .*/suite: live/" "$work/suite.yaml" >"$work/live.yaml"
"$assay" run --fresh "$work/live.yaml" --only can --repeats 0 >/dev/null 2>&1
fact "a live directory" ends 0 "$assay" export 3 can "$work/live.assay"
fact "is told" has "$said" "with --mount /live=PATH"
fact "with its mode elsewhere it is asked for" ends 3 far import "$work/live.assay"
fact "by its place" has "$said" "say which with --mount /live=PATH"
fact "and given" ends 0 far import "$work/live.assay" --mount "/live=$work/live"
live=$(far query --format csv 'SELECT max(run) FROM v_run' | tail -n +2)
mkdir "$work/other"
fact "another one makes another suite" ends 0 far import "$work/live.assay" --mount "/live=$work/other"
fact "and that of before shows what it did" is "$(far shell "$live" can --variant old -- cat /live/file </dev/null 2>/dev/null)" live

# ---- hostile
runs=$(far query --format csv 'SELECT count(*) FROM v_run' | tail -n +2)
evil() { # WORDS FILE: refused, says WORDS
	ends 2 far import "$2" || ends 3 far import "$2" || return 1
	has "$said" "$1"
}
fact "another digest" ends 2 far import "$work/can.assay" --sha256 "${sum//[0-4]/5}"
fact "is told" has "$said" "its digest is $sum"
size=$(stat -c %s "$work/can.assay")
for at in 10 $((size / 2)) $((size - 20)); do
	head -c $at "$work/can.assay" >"$work/short.assay"
	fact "cut after $at bytes it is refused" evil "assay" "$work/short.assay"
	python3 - "$work/can.assay" "$work/flipped.assay" $at <<-'END'
		import sys
		b = bytearray(open(sys.argv[1], "rb").read())
		b[int(sys.argv[3])] ^= 4
		open(sys.argv[2], "wb").write(b)
	END
	fact "and with a bit of byte $at turned" evil "assay" "$work/flipped.assay"
done
zstd -qdc "$work/can.assay" >"$work/can.tar"
python3 - "$work" <<'END'
import io, json, sys, tarfile
work = sys.argv[1]
with tarfile.open(f"{work}/can.tar") as t:
    members = {m.name: t.extractfile(m).read() for m in t}
manifest = json.loads(members["assay.json"])

def write(name, change=None, more=(), **files):
    m = json.loads(json.dumps(manifest))
    if change:
        change(m)
    with tarfile.open(f"{work}/{name}.evil", "w") as t:
        for n, bytes in {**members, "assay.json": json.dumps(m).encode(), **files}.items():
            i = tarfile.TarInfo(n)
            i.size = len(bytes)
            t.addfile(i, io.BytesIO(bytes))
        for n, kind, target in more:
            i = tarfile.TarInfo(n)
            i.type, i.linkname = kind, target
            t.addfile(i)

def at(*path, value):
    def change(m):
        for p in path[:-1]:
            m = m[p]
        m[path[-1]] = value
    return change

write("good")
write("none", **{"assay.json": b"{"})
write("version", at("assay-export", value=2))
write("use", at("recipe", "use", value="npm"))
write("mount", at("recipe", "mounts", 0, "source", value="/etc"))
write("inherit", at("recipe", "inherit-env", value=["HOME"]))
write("directory", at("recipe", "variants", 0, "layers", value=["/etc"]))
write("root", at("recipe", "root", value="/"))
write("ours", at("recipe", "layers", value=["mine"]))
write("file", at("package", "files", 0, "file", value="/etc/passwd"))
write("name", at("package", "files", 0, "name", value="../../../../tmp/assay-evil"))
write("layer", at("layers", 0, "id", value="0" * 64))
write("member", at("layers", 0, "file", value="../../../../../../etc/passwd"))
write("bytes", **{"files/0": b"others"})
write("digest", at("files", 0, "sha256", value="0" * 64))
write("stores", at("stores", value=manifest["stores"] * 2))
write("store", at("stores", 0, "name", value="elsewhere"))
write("status", at("results", 0, "status", value="splendid"))
write("phase", at("results", 0, "phases", 0, "network", value="all"))
write("command", at("package", value={"command": "touch /tmp/assay-evil"}))
write("escape", more=[("../../evil", tarfile.REGTYPE, "")])
write("link", more=[("layers/x", tarfile.SYMTYPE, "/etc"), ("layers/x/assay-evil", tarfile.REGTYPE, "")])
write("device", more=[("dev", tarfile.CHRTYPE, "")])
write("deep", **{"assay.json": b"[" * 100000})
END
mkdir "$work/mine"
far layer import mine "$work/tool" >/dev/null
fact "made again by hand it is taken in" ends 0 far import "$work/good.evil"
runs=$((runs + 1))
good=$runs
layers=$(far layer list --json | grep -c '"name": "tool-')
for case in "none:no JSON object" "version:format version 2" "use:the key 'use'" "mount:the key 'source'" "inherit:the key 'inherit-env'" \
	"directory:the layer /etc" "root:the layer /" "ours:the layer mine" "name:file" "layer:is" "member:it has no file" "digest:has the digest" "bytes:has the digest" \
	"stores:brings more stores" "store:no store elsewhere" "status:makes no sense" "phase:makes no sense" "command:the key 'command'" "escape:evil" "link:assay-evil" "device:dev" "deep:no JSON object"; do
	fact "hostile: ${case%%:*}" evil "${case#*:}" "$work/${case%%:*}.evil"
done
fact "a path of a file means nothing" ends 0 far import "$work/file.evil"
runs=$((runs + 1))
fact "for it is the archive's" is "$(far shell $runs can --variant old -- cat /input/in/seed </dev/null 2>/dev/null)" seed
# all that tells "bytes" from it is no part of the name they have
fact "what was taken in before is as it was" is "$(far shell $good can --variant old -- cat /input/in/seed </dev/null 2>/dev/null)" seed
fact "none of the others became a run" is "$(far query --format csv 'SELECT count(*) FROM v_run' | tail -n +2)" $runs
fact "nor their layers anybody's" is "$(far layer list --json | grep -c '"name": "tool-')" "$layers"
fact "nothing was written elsewhere" test ! -e /tmp/assay-evil
fact "nothing of this is a layer's name of theirs" is "$(far layer list --json | grep -c '"name": "mine"')" 1
fact "an archive that is none" ends 3 far import "$work/suite.yaml"
fact "no file at all" ends 2 far import "$work/nowhere"
fact "the state directory is whole" ends 0 far cache verify
over
