#!/bin/bash
# cmake --install puts things where Debian puts such things, and the installed program finds its own.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

manifest=$build/install_manifest.txt # cmake writes it, and root may have installed from here
[ ! -e "$manifest" ] || [ -w "$manifest" ] || skip "$manifest is not ours to write to"
prefix=$work/usr
fact "it installs" cmake --install "$build" --prefix "$prefix"
for f in bin/assay libexec/assay/assay-all libexec/assay/assay-box libexec/assay/assay-oci share/assay/ecosystems/npm.yaml share/assay/suites/demo.yaml \
	share/assay/suites/npm/packages-demo.jsonl share/assay/npm-layers \
	share/doc/assay/README.md share/man/man1/assay.1 share/man/man1/assay-cache.1 share/man/man1/assay-sandbox.1 share/man/man5/assay-suite.5 share/man/man7/assay-db.7; do
	fact "$f" test -s "$prefix/$f"
done
fact "the helper needs no library" bash -c '! ldd "$1" 2>/dev/null | grep "=>"' - "$prefix/libexec/assay/assay-box"
fact "nor what starts a sandbox those of suites" bash -c '! ldd "$1" | grep -e libarchive -e libsqlite -e libcrypto' - "$prefix/bin/assay"
fact "a box is made from there, too" bash -c '"$1" sandbox -- true || [ $? = 125 ]' - "$prefix/bin/assay"
fact "its suites load from there" ends 0 "$prefix/bin/assay" plan "$prefix/share/assay/suites/demo.yaml"
fact "and the layers that nobody made yet are missed" has "$said" "node-24: MISSING"
fact "which a run does not begin without" ends 3 "$prefix/bin/assay" run "$prefix/share/assay/suites/demo.yaml"
printf 'assay: 1\nsuite: elsewhere\nuse: npm\npackages: [p]\nvariants: [{name: a}]\n' >"$work/elsewhere.yaml"
fact "any suite finds the installed ecosystems, wherever they were put" ends 0 "$prefix/bin/assay" plan "$work/elsewhere.yaml"
fact "those, and no others" has "$said" "$prefix/share/assay/ecosystems/npm.yaml:"
cat >"$work/s.yaml" <<'END'
assay: 1
suite: installed
root: host
phases: [{name: test, run: "echo hello"}]
variants: [{name: a}, {name: b}]
compare: [a, b]
packages: [p]
END
fact "and it runs, with the installed helper" ends 0 env -u ASSAY_BOX "$prefix/bin/assay" run "$work/s.yaml"
over
