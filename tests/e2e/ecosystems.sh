#!/bin/bash
# The ecosystems' stores, filled by the real tools in real boxes: ccache compiles, apt-get fetches and installs. No network.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
"$assay" sandbox true >"$work/first" 2>&1 || skip "no box can be made here: $(head -n 1 "$work/first")"
tried=0
runs() { ends 0 "$assay" run --fresh "$work/$1.yaml" --jobs 2; }
passed() { is "$(ask "SELECT count(*) FROM v_result WHERE run = $1 AND status = 'pass'")" "$2"; }
changes() { ask "SELECT sum($2) FROM v_harvest WHERE run = $1"; }
restored() { rm -rf "$work/out" && "$assay" cache restore "$1" "$work/out"; }

# ---- ccache
counter() { CCACHE_DIR=$work/out CCACHE_CONFIGPATH=/dev/null ccache --print-stats | awk -v n="$1" '$1 == n { print $2 }'; }
if command -v ccache gcc >/dev/null; then
	tried=1
	mkdir "$work/c"
	echo 'int shared(void) { return 1; }' >"$work/c/shared.c"
	for p in one two; do
		echo "int shared(void); int main(void) { return shared() - 1 + 0 * sizeof(\"$p\"); }" >"$work/c/$p.c"
	done
	cat >"$work/ccache.yaml" <<-'END'
		assay: 1
		suite: compiled
		use: ccache
		variants: [{name: host}]
		packages:
		  - {name: one, files: {shared.c: c/shared.c, main.c: c/one.c}}
		  - {name: two, files: {shared.c: c/shared.c, main.c: c/two.c}}
		phases:
		  - name: build
		    env: {ASSAY_BUILD: "gcc -c shared.c && gcc -c main.c && gcc -o main main.o shared.o"}
		  - name: test
		    env: {ASSAY_TEST: ./main}
	END
	fact "two packages are compiled through ccache" runs ccache
	fact "and work" passed 1 2
	fact "nothing was refused" is "$(changes 1 'refused + conflicts')" 0
	fact "the store is a cache that ccache reads" restored ccache/ccache
	fact "with one result for each source, whoever compiled it" is "$(find "$work/out" -name '*R' | wc -l)" 3
	fact "no locks or temporary files" is "$(find "$work/out" -name '*.lock' -o -name '*.alive' -o -name '*tmp*')" ""
	hits=$(counter direct_cache_hit) misses=$(counter cache_miss)
	names=$(cd "$work/out" && find . -name '*[RM]' | sort)
	fact "what both jobs counted is there" is "$((hits + misses))" 4
	fact "linking is counted as well" is "$(counter called_for_link)" 2
	fact "they are compiled again" runs ccache
	fact "and work as before" passed 2 2
	fact "the store can be read again" restored ccache/ccache
	fact "all four were hits, and every one was counted" is "$(counter direct_cache_hit)" $((hits + 4))
	fact "no miss came to them" is "$(counter cache_miss)" "$misses"
	fact "no result or manifest is new" is "$(cd "$work/out" && find . -name '*[RM]' | sort)" "$names"
	sed 's/ASSAY_BUILD: "/&touch $CCACHE_DIR\/ccache.conf \&\& /; s/suite: compiled/suite: evil/' "$work/ccache.yaml" >"$work/evil.yaml"
	fact "a build that would configure everybody's ccache" runs evil
	fact "is told so" is "$(ask "SELECT count(*) FROM v_harvest WHERE run = 3 AND refused_all LIKE '%ccache.conf: a rule allows nothing new there%'")" 2
else
	echo "skip ccache: there is none here, or no gcc (deploy/install-packages check build)"
fi

# ---- apt
deb() { # NAME VERSION DEPENDS
	local d=$work/deb/$1
	mkdir -p "$d/DEBIAN" "$d/opt/assay-$1" "$work/repo"
	echo "$1 $2" >"$d/opt/assay-$1/says"
	printf 'Package: assay-%s\nVersion: %s\nArchitecture: all\nMaintainer: a <a@example.org>\n%sDescription: %s\n' "$1" "$2" "${3:+Depends: $3
}" "$1" >"$d/DEBIAN/control"
	chmod -R u=rwX,go=rX "$d"
	local file=assay-$1_$2_all.deb
	dpkg-deb --root-owner-group -b "$d" "$work/repo/$file" || return 1
	{
		dpkg-deb -f "$work/repo/$file"
		printf 'Filename: ./%s\nSize: %s\nSHA256: %s\n\n' "$file" "$(stat -c %s "$work/repo/$file")" "$(sha256sum <"$work/repo/$file" | cut -d' ' -f1)"
	} >>"$work/repo/Packages"
}
if command -v apt-get dpkg-deb >/dev/null; then
	tried=1
	fact "packages are made" deb base 1.0
	fact "that need one another" deb left 1.0 assay-base
	fact "both of them" deb right 2.0 assay-base
	cat >"$work/apt.conf" <<-'END'
		Dir::Etc::sourcelist "/input/sources.list";
		Dir::Etc::sourceparts "/dev/null";
	END
	echo 'deb [trusted=yes] copy:/repo ./' >"$work/sources.list"
	cat >"$work/apt.yaml" <<-END
		assay: 1
		suite: installed
		use: apt
		variants: [{name: host}]
		env: {APT_CONFIG: /input/apt.conf}
		mounts: [{path: /repo, mode: ro, source: repo}]
		packages:
		  - {name: assay-left, version: '1.0', files: &f {apt.conf: apt.conf, sources.list: sources.list}, env: {ASSAY_TEST: cat /opt/assay-base/says /opt/assay-left/says}}
		  - {name: assay-right, version: '2.0', files: *f}
	END
	fact "apt-get fetches, installs and is asked" runs apt
	fact "all of it works" passed 1000 0
	run=$(ask "SELECT max(run) FROM v_run")
	fact "in both boxes" passed "$run" 2
	fact "the store can be read" restored apt/apt-archives
	fact "it has the archives and nothing else" is "$(cd "$work/out" && find . -mindepth 1 | sort | tr '\n' ' ')" "./assay-base_1.0_all.deb ./assay-left_1.0_all.deb ./assay-right_2.0_all.deb "
	fact "as they are" cmp "$work/out/assay-base_1.0_all.deb" "$work/repo/assay-base_1.0_all.deb"
	fact "what both fetched was no conflict" is "$(changes "$run" 'conflicts + refused')" 0
	fact "once more" runs apt
	fact "apt-get fetches nothing that is there" is "$(changes "$((run + 1))" added)" 0
	# The same name, version and architecture, other bytes: the first ones stay, and both jobs are told.
	# Larger, too: apt-get takes an archive that has the right size for the right one.
	for i in {1..50}; do sha256sum <<<"$i"; done >"$work/deb/base/opt/assay-base/more"
	rm -rf "$work/repo"
	fact "a package is built anew under its old version" deb base 1.0
	deb left 1.0 assay-base >/dev/null && deb right 2.0 assay-base >/dev/null
	fact "it is fetched" runs apt
	fact "that is a conflict for each" is "$(ask "SELECT count(*) FROM v_note WHERE run = $((run + 2)) AND change = 'conflict' AND path = 'assay-base_1.0_all.deb'")" 2
else
	echo "skip apt: no apt-get or dpkg-deb here: this is no Debian"
fi
[ $tried = 1 ] || skip "neither ccache nor apt-get is here"
over
