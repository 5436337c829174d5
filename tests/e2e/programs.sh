#!/bin/bash
# Real programs in a box, over this machine's own: compilers with their sanitizers, debuggers, interpreters, databases, package builders.
# Each must do its work, not just end well. No network; with one id and, where there is one, with a range of ids.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
"$assay" sandbox true >"$work/first" 2>&1 || skip "no box can be made here: $(head -n 1 "$work/first")"

mkdir "$work/src"
cp -r "$here/programs/." "$work/src"
ids=()
# box COMMAND...: over a copy of the sources that is thrown away
box() { "$assay" sandbox "${ids[@]}" --time 20m --env HOME=/tmp --cow "$work/src:/src" --cd /src "${more[@]}" -- "$@"; }
more=()
sh_in_box() { box sh -ec "$1" 2>&1; }
# program NAME TEXT FUNCTION: a fact about a program that is here
program() {
	command -v "$1" >/dev/null || { echo "skip $2: no $1 here"; return; }
	fact "$2" "$3"
}
lines() { # TEXT LINE...: each line is in the text
	local text=$1 line
	shift
	for line; do
		has "$text" "$line" || return 1
	done
}

address() {
	local said
	said=$(sh_in_box 'gcc -g -fsanitize=address overflow.c -o x; ./x 1 || echo "status $?"')
	lines "$said" heap-buffer-overflow overflow.c:6 "status 1"
}
leak() {
	local said
	said=$(sh_in_box 'gcc -g -fsanitize=address leak.c -o x; ./x || echo "status $?"; gcc -g -fsanitize=leak leak.c -o y; ./y || echo "status $?"')
	lines "$said" "LeakSanitizer: detected memory leaks" "123 byte(s)" "status 1" "status 23" || return 1
	is "$(grep -c "detected memory leaks" <<<"$said")" 2
}
thread() {
	local said
	# twice: where addresses are more random than it can bear it executes itself again without
	said=$(sh_in_box 'gcc -g -fsanitize=thread race.c -o x -pthread; ./x || echo "status $?"')
	[[ $said == *"unexpected memory mapping"* ]] && said=$(sh_in_box 'gcc -g -fsanitize=thread race.c -o x -pthread; setarch -R ./x || echo "status $?"')
	lines "$said" "ThreadSanitizer: data race" race.c:7 "status 66"
}
undefined() {
	local said
	said=$(sh_in_box 'gcc -g -fsanitize=undefined shift.c -o x; ./x 40')
	lines "$said" "shift exponent 40 is too large" "done"
}
program gcc "gcc's address sanitizer finds an overflow" address
program gcc "its leak sanitizer finds a leak, alone and with the former" leak
program gcc "its thread sanitizer finds a race" thread
program gcc "its undefined-behaviour sanitizer finds a shift" undefined

debugger() {
	local said
	said=$(sh_in_box 'gcc -g add.c -o x; gdb -nx -batch -ex "break add" -ex run -ex bt -ex "print a * b" -ex "set var a = 1" -ex finish -ex continue ./x')
	lines "$said" "Breakpoint 1, add (a=40, b=2)" "in main () at add.c" '$1 = 80' 'Value returned is $2 = 3' "exited with code 07"
}
attached() {
	local said
	# not before it is what it will be
	said=$(sh_in_box 'sleep 6000 & until grep -q sleep /proc/$!/comm; do sleep 0.05; done; gdb -nx -batch -p $! -ex "info inferiors" -ex detach; kill $!')
	lines "$said" "process " "/sleep" detached
}
tracer() {
	local said
	said=$(sh_in_box 'gcc add.c -o x; strace -f -e trace=write,exit_group sh -c "./x; true"')
	lines "$said" 'write(1, "42\n", 3' "exit_group(7)" "+++ exited with 7 +++" "+++ exited with 0 +++"
}
program gdb "gdb breaks, shows and changes a program it has started" debugger
program gdb "gdb attaches to a program that runs" attached
program strace "strace follows a child" tracer

node_works() { lines "$(sh_in_box 'node workers.js')" "worker 0 4950" "worker 3 4950" "tcp hello" "unix hello" "http 200 hello" "child 42"; }
npm_ci() {
	local said
	said=$(sh_in_box 'cp -r npm /tmp/n; cd /tmp/n/dep; npm pack --silent; cd ../app; npm install --silent --no-audit --no-fund ../dep/dep-1.0.0.tgz
		rm -r node_modules; npm ci --silent --no-audit --no-fund; node -p "require(\"dep\")"; ls node_modules/.bin; cat node_modules/dep/built')
	lines "$said" "dep says 1.0.0" "dep-tool" "built by its install script"
}
program node "node: workers, TCP, UNIX and HTTP sockets, a child" node_works
program npm "npm ci: a package from its tarball, its install script runs" npm_ci

python_works() { lines "$(sh_in_box '/usr/bin/python3 many.py')" "pool 328350" "shared 400" "sqlite 1000" "asyncio child" "threads 50" "mmap ok" "tmp ok"; }
program /usr/bin/python3 "python3: pools of processes, shared memory, sqlite, asyncio, threads" python_works
sqlite() {
	local said
	said=$(sh_in_box 'sqlite3 a.db "pragma journal_mode=wal; create table t(x);"
		for i in 1 2 3 4; do (for k in $(seq 25); do sqlite3 -cmd ".timeout 600000" a.db "insert into t values($i*100+$k)"; done) & done; wait
		sqlite3 a.db "select count(*), sum(x) from t; pragma integrity_check;"')
	lines "$said" wal "100|26300" ok
}
program sqlite3 "sqlite3: four writers, a write-ahead log" sqlite

making() {
	local said
	said=$(sh_in_box 'make -s -C many -j 8 && ./many/all; echo; make -s -C many -j 8 clean; ls many')
	is "$said" $'sum 435\nMakefile'
}
program make "make -j 8: thirty files" making
tar_owners() {
	local said
	# with one id there is root only
	said=$(sh_in_box 'mkdir -p t/d; echo x >t/a; ln t/a t/b; ln -s a t/l; mkfifo t/p; chmod 4755 t/a; touch -d @1000000000 t/d
		chown 42:43 t/d 2>/dev/null || echo "one id"; chown -h 65534:65534 t/l 2>/dev/null || true; tar --numeric-owner -cf t.tar t
		mkdir o; tar --same-owner -xpf t.tar -C o; stat -c "%n %u:%g %a %h %F" o/t o/t/*; stat -c %Y o/t/d')
	lines "$said" "o/t/a 0:0 4755 2 regular file" "o/t/p 0:0" fifo "1000000000" || return 1
	has "$said" "one id" 2>/dev/null && return
	lines "$said" "o/t/d 42:43 755" "o/t/l 65534:65534"
}
fact "tar keeps owners, modes, links and times" tar_owners
git_works() {
	local said
	said=$(sh_in_box 'export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b; git init -q -b main r; cd r
		for i in 1 2 3 4 5; do seq $((i * 1000)) >f; git add f; git commit -q -m "c$i"; done; git gc -q; git fsck 2>&1
		cd ..; git clone -q file://$PWD/r c; cd c; git log --format=%s; wc -l <f; git worktree add -q ../w HEAD~1; wc -l <../w/f; git -C ../r count-objects -v')
	lines "$said" c1 c5 5000 4000 "packs: 1" "count: 0"
}
program git "git: commits, gc, fsck, a clone, a work tree" git_works

build_package() {
	local said more=()
	[ ! -d /var/lib/dpkg ] || more=(--ro /var/lib/dpkg)
	said=$(sh_in_box 'cp -r debian-hi /tmp/hi; cd /tmp/hi; chmod +x debian/rules; dpkg-buildpackage -us -uc -b -d; cd ..; dpkg-deb -f hi_1.0_*.deb Depends; dpkg-deb -c hi_1.0_*.deb
		dpkg-deb -x hi_1.0_*.deb x; x/usr/bin/hi')
	lines "$said" "libc6 (>= 2." "root/root" ./usr/bin/hi "hi from a package" || return 1
}
program dpkg-buildpackage "dpkg-buildpackage builds a package of C" build_package
under_fakeroot() { lines "$(sh_in_box 'fakeroot sh -c "touch f; chown 7:8 f; stat -c %u:%g f"')" 7:8; }
program fakeroot "fakeroot" under_fakeroot
terminals() { lines "$(sh_in_box 'script -qec "tty; stty size; test -t 0 && echo yes" /dev/null')" /dev/pts/0 yes; }
program script "script: a terminal of its own" terminals

# ---- what needs more than one id
ids=(--ids range)
if box true >"$work/log" 2>&1; then
	su_works() { lines "$(sh_in_box 'su nobody -s /bin/sh -c "id -un; id -Gn; touch /tmp/mine; stat -c %U /tmp/mine; touch /src/no 2>&1"')" nobody nogroup "Permission denied"; }
	program su "su to nobody" su_works
	setpriv_works() { is "$(sh_in_box 'setpriv --reuid 42 --regid 65534 --clear-groups id -u')" 42; }
	program setpriv "setpriv, as apt becomes its own user" setpriv_works
	fact "tar keeps the owners of a range" tar_owners
	program npm "npm ci with a range of ids" npm_ci
	program gcc "the leak sanitizer with a range of ids" leak
else
	echo "skip su, owners: no range of ids: $(head -n 1 "$work/log")"
fi
over
