#!/bin/bash
# What a person sees who got something wrong: one clear line, what and where, the right exit status, and nothing begun.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

one_line() { is "$(wc -l <<<"$said")" 1; }
# wrong TEXT-IN-MESSAGE ARGUMENT...: exit 3, one line that has the text
wrong() {
	local text=$1
	shift
	ends 3 "$assay" "$@" && has "$said" "$text" && one_line
}
base='assay: 1
suite: s
root: host
phases: [{name: test, run: "true"}]
variants: [{name: a}, {name: b}]'
suite() { printf '%s\n' "$@" >"$work/s.yaml"; }

suite "$base" 'packages: [p]' 'frobnicate: 3'
fact "an unknown key is told with its place" wrong "s.yaml:7:1: " plan "$work/s.yaml"
suite "$base" 'packages: [p, q, p]'
fact "so is a package named twice" wrong "s.yaml:6:" run "$work/s.yaml"
suite "$base" 'packages: [p]' 'limits: {memory: 3 bananas}'
fact "and a limit that is none" wrong "s.yaml:7:" plan "$work/s.yaml"
suite "$base" 'packages: [p]' 'mounts:' '  - {path: /a, mode: cow}' '  - {path: /a/b, mode: ro, source: /usr}'
fact "and a path inside another mount" wrong "s.yaml:9:" plan "$work/s.yaml"
suite "$base" 'packages: [p]' 'layers: [nowhere-7]'
fact "a layer that is not there is told before anything runs" wrong "nowhere-7" run "$work/s.yaml"
fact "and left no run behind" is "$(ask "SELECT count(*) FROM run")" 0
suite "$base" 'packages: [p]' 'use: nowhere'
fact "an ecosystem that is not there" wrong "s.yaml:7:6: " plan "$work/s.yaml"
no_detour() { ! grep -q '/\.\./' <<<"$said"; }
fact "and where it was looked for, by straight paths" no_detour
suite "$base" 'packages: [p]'
fact "a package that --only names and nobody knows" wrong "unheard-of" run "$work/s.yaml" --only unheard-of
fact "a suite that is not there" ends 3 "$assay" run --fresh "$work/none.yaml"
fact "is named" has "$said" "none.yaml"
fact "an unknown command" wrong "no command 'frob'" frob
fact "an unknown option" ends 3 "$assay" run --frob
fact "jobs: nonsense" ends 3 "$assay" run --fresh "$work/s.yaml" --jobs 0
fact "SQL that writes is refused" ends 3 "$assay" query 'DELETE FROM run'
fact "SQL that is none is refused" ends 3 "$assay" query 'SELEC 1'
fact "a run nobody made" ends 3 "$assay" compare 999
fact "its report neither" ends 3 "$assay" report 999
fact "a layer from nowhere" ends 2 "$assay" layer import x "$work/nothing-here"
fact "a layer name that is none" ends 3 "$assay" layer import '../x' /usr/share/doc
fact "removing what is not there" ends 2 "$assay" layer remove ghost
in_manual() {
	local o
	for o in $("$assay" "$1" --help | sed '/^Example/,$d' | grep -oE '(^| )--[a-z]+' | grep -vE -- '--(help|usage)' | sort -u); do
		grep -qF -- "\\-\\-${o#--}" "$source/deploy/man/assay.1" || { echo "$o is not in assay(1)" && return 1; }
	done
}
for c in run plan compare report status query layer shell export import; do
	fact "the manual knows each option of $c" in_manual "$c"
	fact "$c -h is $c --help" is "$("$assay" "$c" -h)" "$("$assay" "$c" --help)"
	fact "$c --help has an example" bash -c '"$1" "$2" --help | grep -q "assay $2"' - "$assay" "$c"
done
fact "the program's version" ends 0 "$assay" --version

# hostile archives
python3 - "$work" <<'END'
import io, sys, tarfile
def make(name, *members):
    with tarfile.open(f"{sys.argv[1]}/{name}.tar", "w") as t:
        for m, kind, target in members:
            i = tarfile.TarInfo(m)
            i.type, i.linkname = kind, target
            i.size = 4 if kind == tarfile.REGTYPE else 0
            t.addfile(i, io.BytesIO(b"evil"[:i.size]))
R, S, H = tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE
make("absolute", ("/tmp/assay-evil", R, ""))
make("dotdot", ("a/../../evil", R, ""))
make("through", ("a", S, "/tmp"), ("a/assay-evil", R, ""))
make("hardlink", ("a", H, "/etc/passwd"))
make("fifo", ("a", tarfile.FIFOTYPE, ""))
make("device", ("a", tarfile.CHRTYPE, ""))
END
for a in absolute dotdot through hardlink fifo device; do
	fact "a hostile archive ($a) is refused by name" ends 2 "$assay" layer import evil "$work/$a.tar"
done
fact "nothing of them is a layer" is "$("$assay" layer list --json | tr -d ' \n')" "[]"
fact "nor outside" bash -c '! ls /tmp/assay-evil "$1"/evil 2>/dev/null' - "$work"
over
