#!/bin/bash
# assay sandbox, by hand: what a command sees, what of it is kept, how it ends, what a person is told.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

box() { "$assay" sandbox "$@"; }
said=$(box -- true 2>&1) || skip "no box can be made here: $said"

# says TEXT COMMAND...: it must succeed and say just that
says() {
	local want=$1 got
	shift
	got=$("$@" 2>&1) || { echo "it ended with $?: $got"; return 1; }
	is "$got" "$want"
}
# line STATUS TEXT ARGUMENT...: the box must not run, with that status and one line that has the text
line() {
	ends "$1" "$assay" sandbox "${@:3}" && has "$said" "$2" && is "$(wc -l <<<"$said")" 1
}
no_file() { [ ! -e "$1" ] || { echo "$1 is there"; return 1; }; }

# ---- how it ends ----
fact "its exit status is the command's" ends 7 box -- sh -c 'exit 7'
fact "whatever it is" ends 255 box -- sh -c 'exit 255'
fact "a shell sees a signal as it would without a box" ends 143 box -- sh -c 'kill -TERM $$'
killed_by() {
	python3 -c 'import subprocess, sys; sys.exit(subprocess.run(sys.argv[2:], stderr=subprocess.DEVNULL).returncode != -int(sys.argv[1]))' \
		"$1" "$assay" sandbox -- sh -c "kill -$1 \$\$"
}
for s in 1 2 3 6 9 11 13 15; do
	fact "and ends by it itself: signal $s" killed_by "$s"
done
fact "a program that is not there is 127" ends 127 box -- no-such-program
fact "and is named" has "$said" "no-such-program: No such file or directory"
fact "one that can't be executed is 126" ends 126 box -- /etc/passwd
fact "a word that is wrong is 125, in one line" line 125 "--time takes a time with its unit, as in 90s, not '3'" --time 3 -- true
fact "an option that does not exist is 125, in one line" line 125 "there is no option --frob" --frob -- true
fact "no command is 125" line 125 "which command?"
fact "a directory that is not there" line 125 "$work/none: No such file or directory" --ro "$work/none:/x" -- true
no_docker() { DOCKER_HOST=unix://$work/none line 125 "assay doctor" --executor docker -- true; }
fact "an executor that is not there, in one line that says what to do" no_docker
fact "a layer that is not there" line 125 "there is no layer ghost" --root ghost -- true
fact "two mounts of one path" line 125 "/x" --ro /usr:/x --ro /etc:/x -- true
fact "a mount over what the box makes itself" line 125 "/proc" --ro /usr:/proc/x -- true
mkdir "$work/dir"
from_dir() { box -- true <"$work/dir"; }
fact "a directory as standard input is a way out, and refused" ends 125 from_dir
fact "and named" has "$said" "standard input is a directory"
no_terminal() { box --tty -- true </dev/null; }
fact "--tty where standard input is no terminal" ends 125 no_terminal
fact "is told so" has "$said" "--tty: standard input is no terminal"
fact "a limit that is passed is 124, in one line" line 124 "ended by its limit: --time 300 ms" --time 300ms --cpu 1h -- sleep 50
fact "a limit of what is said" ends 124 box --log 1K -- sh -c 'yes >/dev/stderr; sleep 6000'
fact "is told after it" is "$(tail -n 1 <<<"$said" | cut -d' ' -f1-7)" "assay: ended by its limit: --log 1.0"
fact "a limit of silence" line 124 "ended by its limit: --silence 300 ms" --silence 300ms -- sleep 50

# ---- what goes in and out ----
through() { echo through | box -- cat; }
fact "standard input is the command's" says through through
apart() { [ "$(box -- sh -c 'echo out; echo err >&2' 2>/dev/null)" = out ] && [ "$(box -- sh -c 'echo out; echo err >&2' 2>&1 >/dev/null)" = err ]; }
fact "stdout and stderr stay two" apart
same_bytes() { head -c 30000000 /dev/urandom >"$work/bytes" && box -- cat <"$work/bytes" | cmp - "$work/bytes"; }
fact "bytes come through whole" same_bytes
merged() { box --silence 1m -- sh -c 'echo out; echo err >&2' 2>/dev/null; }
fact "read along, for a limit, they are one" says $'out\nerr' merged
broken_pipe() { box --log 1G -- yes | head -n 1 >"$work/head"; echo "${PIPESTATUS[0]}"; }
fact "a reader that has enough ends it as a pipe does" says 141 broken_pipe
closed() { box -- cat <&- >"$work/closed" 2>&-; }
fact "what is closed is empty" closed
no_fds() { box -- sh -c 'ls /proc/self/fd | wc -l' 7</etc/passwd 8>"$work/leak"; }
fact "nothing else that is open here is open there" says 4 no_fds

# ---- what it sees ----
fact "this machine's /usr, as it is" box -- test -x /usr/bin/env
fact "but nobody's home" says "" box -- find /home /root -mindepth 1
fact "no process of this machine" box -- sh -c 'set -- /proc/[0-9]*; [ $# = 2 ]'
fact "no network" box -- sh -c '! grep -v lo: /proc/net/dev | grep :'
fact "an environment of its own" ends 1 env SECRET=x "$assay" sandbox -- printenv SECRET
fact "but for what is named" says x env SECRET=x "$assay" sandbox --env SECRET -- printenv SECRET
fact "a variable of its own" says "a b" box --env 'X=a b' -- printenv X
fact "its name" says there box --hostname there -- uname -n
fact "its place" says /usr/share box --cd /usr/share -- pwd
fact "the user it is to be" says "1234 1234 1234" box --uid 1234 -- sh -c 'echo $(id -u) $(id -g) $(id -g)'
mkdir -p "$work/src/sub" "$work/a:b"
echo here >"$work/src/file"
echo colon >"$work/a:b/file"
fact "a directory, read-only" says here box --ro "$work/src:/src" -- cat /src/file
cant_write() { ! box --ro "$work/src:/src" -- sh -c 'echo x >/src/new' 2>/dev/null && no_file "$work/src/new"; }
fact "which can't be written" cant_write
fact "at its own path, where no other is said" says here box --ro "$work/src" -- cat "$work/src/file"
fact "a colon in a name" says colon box --ro "$work/a\\:b:/x" -- cat /x/file
fact "one to write" box --rw "$work/src:/src" -- sh -c 'echo there >/src/new'
fact "is written" says there cat "$work/src/new"
fact "one that stays as it is" says there box --cow "$work/src:/src" -- sh -c 'rm /src/file; cat /src/new; echo y >/src/new'
fact "has stayed so" says $'here\nthere' cat "$work/src/file" "$work/src/new"
fact "the same in other words" says here box --map "$work/src:/src:ro" -- cat /src/file
fact "one in memory" says tmpfs box --tmpfs /scratch:4M -- stat -f -c %T /scratch
fact "a file" says here box --file "/etc/it=$work/src/file" -- cat /etc/it
from_stdin() { echo "read x; echo in=\$x" | box --file /job=- -- sh -c 'sh /job; cat'; }
fact "a file from standard input, which is then empty" says in= from_stdin
fact "a single file of this machine" says here box --ro "$work/src/file:/opt/one" -- cat /opt/one

# ---- what is kept ----
full() { box --disk 4M "$@" -- sh -c 'head -c 100M /dev/zero >/opt/big'; }
fact "what is not kept has --disk as its limit, too, however quickly it ends" ends 124 full
fact "which is told" has "$said" "ended by its limit: --disk 4.0 MiB (it was at "
many_files() { box --inodes 100 --cow "$work/src:/src" -- sh -c 'cd /src; for i in $(seq 300); do : >$i; done; sleep 6000'; }
fact "and --inodes" ends 124 many_files
fact "which is told, too" has "$said" "ended by its limit: --inodes 100 (it was at "
fact "less is no matter" box --disk 4M --inodes 100 -- sh -c 'head -c 3M /dev/zero >/opt/big && cd /opt && for i in $(seq 80); do : >$i || exit 1; done'
slow_full() { box --disk 4M --keep "$work/kept-big" -- sh -c 'head -c 100M /dev/zero >/opt/big; sleep 6000'; }
fact "on disk it ends the box" ends 124 slow_full
fact "which is told" has "$said" "ended by its limit: --disk 4.0 MiB"
rm -rf "$work/kept-big"
fact "what a box writes is lost" says "" box -- sh -c 'echo x >/opt/x'
no_opt() { box -- sh -c '! test -e /opt/x'; }
fact "the next has none of it" no_opt
fact "unless it is kept" box --keep "$work/kept" -- sh -c 'mkdir /opt/d; echo x >/opt/d/x'
fact "in a directory that is the upper and nothing else" says "opt opt/d opt/d/x" sh -c 'cd "$1" && echo $(find . -mindepth 1 -printf "%P\n" | sort)' - "$work/kept"
fact "it is there again" says x box --keep "$work/kept" -- cat /opt/d/x
trial_names() { box --keep "$work/names" -- sh -c 'for n in f d n o u w work; do echo $n >/opt/$n || exit; done' && box --cow "$work/empty:/e" --keep "$work/names/opt" -- sh -c 'cd /e && echo *'; }
mkdir "$work/empty"
fact "whatever its names are" says "d f n o u w work" trial_names
fact "they stay" says "d f n o u w work" sh -c 'cd "$1" && echo *' - "$work/names/opt"
full_upper() { ASSAY_BOX_OVERLAY=tmpfs line 125 "has changes of an earlier box" --keep "$work/names" -- true && has "$said" "give an empty directory, or one on"; }
fact "no more can be added where no directory carries an upper" full_upper
in_memory() { ASSAY_BOX_OVERLAY=tmpfs box --keep "$work/moved" -- sh -c 'echo x >/opt/x' && is "$(cat "$work/moved/opt/x")" x; }
fact "but to an empty one" in_memory
rm -r "$work/names" "$work/moved" "$work/empty"
fact "of one directory, too" box --cow "$work/src:/src" --keep "$work/kept-src" -- sh -c 'rm /src/file; echo z >/src/z'
fact "whose upper has what changed" says z cat "$work/kept-src/z"
fact "and nothing is beside it" says "$(printf '%s\n' a:b dir kept kept-src src | tr '\n' ' ')" sh -c 'cd "$1" && ls -A | grep -v -e fact.log -e state -e bytes -e head -e closed -e leak | tr "\n" " "' - "$work"
two_keep() {
	rm -f "$work/said"
	"$assay" sandbox --keep "$work/kept" -- sh -c 'echo ready; exec sleep 6000' >"$work/said" &
	started+=($!)
	until_true 300 grep -q ready "$work/said" || return
	ends 125 box --keep "$work/kept" -- true && has "$said" "is kept for another box" || return
	kill -TERM "${started[-1]}"
	wait "${started[-1]}"
	until_true 300 box --keep "$work/kept" -- true
}
killed_keep() {
	rm -f "$work/said"
	"$assay" sandbox --keep "$work/kept" -- sh -c 'echo ready; exec sleep 6000' >"$work/said" &
	started+=($!)
	until_true 300 grep -q ready "$work/said" || return
	[ -d "$work/.kept.assay/work" ] || { ls -lA "$work/.kept.assay"; return 1; }
	kill -KILL "${started[-1]}"
	wait "${started[-1]}" 2>/dev/null
	until_true 300 box --keep "$work/kept" -- true && no_file "$work/.kept.assay"
}
fact "what a killed one left is taken away by the next" killed_keep
not_ours() {
	mkdir -p "$work/.kept.assay/work" && echo mine >"$work/.kept.assay/$1" && line 125 "which has ${1%%/*} and so" --keep "$work/kept" -- true &&
		is "$(cat "$work/.kept.assay/$1")" mine
}
fact "but not what somebody else put there" not_ours mine
rm -r "$work/.kept.assay"
fact "whatever its name" not_ours work/mine
rm -r "$work/.kept.assay"
echo mine >"$work/.kept.assay"
fact "or what it is" line 125 ".kept.assay: Not a directory" --keep "$work/kept" -- true
rm "$work/.kept.assay"
fact "two boxes at once don't keep in one directory" two_keep
fact "a root that can't be written" says no box --read-only -- sh -c 'echo x 2>/dev/null >/opt/x || echo no'
# its libraries and nothing else
mkdir -p "$work/root/bin"
for f in /bin/cat $(ldd /bin/cat | grep -o '/[^ ]*'); do
	mkdir -p "$work/root$(dirname "$f")" && cp -L "$f" "$work/root$f"
done
echo mine >"$work/root/file"
fact "a root of one's own" says mine box --root "$work/root" -- /bin/cat /file
fact "with nothing of this machine's" ends 127 box --root "$work/root" -- sh
fact "is not changed" says "bin file" sh -c 'cd "$1" && echo $(ls -A | grep -v ^lib)' - "$work/root"
fact "a layer that was imported" ends 0 "$assay" layer import tool "$work/src" --prefix opt/tool
fact "over this machine's root" says here box --layer tool -- cat /opt/tool/file
here_word() { cd "$work" && line 125 "a directory has a '/' in its name: ./src" --root src -- true; }
fact "a directory where a layer is meant is told" here_word

# ---- what is told ----
facts() { python3 -c 'import json, sys; f = json.load(open(sys.argv[1])); sys.exit(not eval(sys.argv[2]) and print(f) is None)' "$work/facts" "$1"; }
fact "facts as JSON" ends 3 box --json "$work/facts" --memory 1G -- sh -c 'exit 3'
fact "of a command that ended" facts 'f["end"] == "exited" and f["exit_code"] == 3 and f["signal"] is None and f["limit"] is None and f["wall_ns"] > 0'
fact "with the profile and who ran it" facts 'f["profile"] == "default" and f["cgroup"] in ("v1", "v2", "none")'
fact "of a signal" ends 139 box --json "$work/facts" -- sh -c 'kill -SEGV $$'
fact "its number" facts 'f["end"] == "signalled" and f["signal"] == 11 and f["exit_code"] is None'
fact "of a limit" ends 124 box --json "$work/facts" --time 200ms -- sleep 60
fact "its bound and value" facts 'f["end"] == "limited" and f["limit"] == "wall-time" and f["limit_bound"] == 200 and f["limit_value"] >= 200'
fact "of our own trouble" ends 125 box --json "$work/facts" --root "$work/none" -- true
fact "its words" facts 'f["end"] == "failed" and "none" in f["error"]'
json_out() { box --json - -- true | python3 -c 'import json, sys; sys.exit(json.load(sys.stdin)["end"] != "exited")'; }
fact "and on standard output" json_out
fact "where that can't be written it is ours" ends 125 box --json /dev/full -- true
fact "every step, if it is to be told" ends 0 box --verbose -- true
fact "on stderr" has "$said" "assay-box: sandbox:"
fact "what it would be made of" ends 0 box --plan --ro "$work/src:/src" --memory 1G -- no-such-program
fact "has the mounts" has "$said" "/src"
fact "and the command" has "$said" "no-such-program"
keep_plan() { has "$(box --plan --keep "$work/a/../planned/" -- true)" "upper $work/planned, to be made" && no_file "$work/planned"; }
mkdir "$work/a"
fact "and what is kept, but makes nothing" keep_plan
fact "where it could be made" line 125 "make $work/none/planned: No such file" --plan --keep "$work/none/planned" -- true
kept_plan() { box --plan --keep "$work/kept" -- true | grep -x " *upper $work/kept" >/dev/null && no_file "$work/.kept.assay"; }
fact "nor beside what is there" kept_plan
fact "which is of one mount" line 125 "it is kept for another mount" --plan --keep "$work/kept" --cow "$work/src:/k" --keep "$work/kept/." -- true
fact "also when it is run" line 125 "it is kept for another mount" --keep "$work/kept" --cow "$work/src:/k" --keep "$work/kept/." -- true
pipe_plan() { [ "$(printf 'one\ntwo\n' | (box --plan --file /job=- -- sh /job >"$work/plan"; cat))" = $'one\ntwo' ] && has "$(cat "$work/plan")" "/job: what will be read"; }
fact "and leaves standard input to whoever reads it" pipe_plan
file_plan() { has "$(box --plan --file /job=- -- sh /job <"$work/src/new")" "/job: 6 B"; }
fact "but for a file, which can be read again" file_plan
rm -r "$work/a" "$work/plan"

# ---- a network that is lost ----
# pasta PID [TOP]: that of the box which this process has, and the helper's child which it is below
pasta() {
	local p
	for p in $(pgrep -P "$1"); do
		case $(cat "/proc/$p/comm" 2>/dev/null) in
		pasta* | passt*) echo "$p $2" ;;
		*) pasta "$p" "${2:-$p}" ;;
		esac
	done
}
gone() { ! grep -q '^State:.[^ZX]' "/proc/$1/status" 2>/dev/null; }
lost() {
	local got=0 p helper found
	rm -rf "$work/said" "$work/told" "$work/go"
	mkdir "$work/go"
	"$assay" sandbox --json "$work/facts" --net nat --rw "$work/go:/go" "${@:2}" >"$work/said" 2>"$work/told" &
	p=$!
	started+=($p)
	until_true 300 grep -q ready "$work/said" || { cat "$work/told"; return 1; }
	helper=$(pgrep -P $p)
	read -ra found < <(pasta "$helper")
	kill -KILL "${found[0]}" && until_true 300 gone "${found[1]}" || { echo "pasta: ${found[*]}"; return 1; }
	touch "$work/go/now"
	wait $p || got=$?
	is "$got" "$1"
}
said=$(box --net nat -- true 2>&1)
if [ $? = 0 ]; then
	fact "a network that was not lost" box --json "$work/facts" --net nat -- true
	fact "is in the facts" facts 'f["network_lost"] is False'
	fact "one that was lost" lost 3 -- sh -c 'echo ready; until test -e /go/now; do sleep 0.05; done; exit 3'
	fact "too" facts 'f["network_lost"] is True and f["exit_code"] == 3'
	fact "and told" says "assay: its network (pasta) ended before it did" cat "$work/told"
	# not one of time, which a busy machine could pass before
	fact "and of one that a limit ended" lost 124 --log 64K -- sh -c 'echo ready; until test -e /go/now; do sleep 0.05; done; yes; sleep 6000'
	fact "its limit first" grep -q '^assay: ended by its limit: --log 64.0 KiB (.*; its network (pasta) ended before it did$' "$work/told"
	fact "in one line" is "$(wc -l <"$work/told")" 1
else
	echo "not tried: a network that is lost: $said"
fi
fact "where there was none to lose" box --json "$work/facts" -- true
fact "nothing is known" facts 'f["network_lost"] is None'
rm -rf "$work/go"

# ---- from outside ----
forwarded() {
	rm -f "$work/said"
	env --default-signal "$assay" sandbox --grace 1h -- sh -c 'trap "echo got; exit 9" '"$1"'; echo ready; while :; do sleep 0.05; done' \
		>"$work/said" 2>/dev/null &
	local p=$! got=0
	started+=($p)
	until_true 300 grep -q ready "$work/said" || return
	kill "-$1" $p
	wait $p || got=$?
	is "$got" 9 && grep -q got "$work/said"
}
for s in TERM HUP QUIT USR1 USR2; do
	fact "SIG$s is the command's to answer" forwarded $s
done
mark=60000.$$
asleep() { pgrep -f "^sleep 60000[.]$$\$" >/dev/null; }
awake() { ! asleep; }
died() {
	"$assay" sandbox -- sh -c "(setsid sleep $mark &); sleep $mark" &
	killed=$!
	started+=($killed)
	until_true 300 asleep || return
	kill -KILL $killed
	wait $killed 2>/dev/null
	until_true 300 awake
}
fact "after kill -9 the box goes" died
# its cgroups are left, until whoever starts a box next, which may be another story beside this one
waits() {
	local p got=0
	mkfifo "$work/fifo"
	"$assay" sandbox --keep "$work/waits" --file "/x=$work/fifo" -- true &
	p=$!
	started+=($p)
	exec 9>"$work/fifo" # until it reads
	kill -TERM $p
	wait $p || got=$?
	exec 9>&-
	is "$got" 143 && no_file "$work/waits" && no_file "$work/.waits.assay"
}
fact "a signal while it waits for a file leaves nothing" waits
ignored() {
	rm -f "$work/said"
	(trap '' INT; exec "$assay" sandbox -- sh -c 'trap - INT; echo ready; sleep 0.6; echo end') >"$work/said" &
	local p=$!
	started+=($p)
	until_true 300 grep -q ready "$work/said" || return
	kill -INT $p
	wait $p && grep -q end "$work/said"
}
fact "a signal that was ignored when it started stays so" ignored
fact "the next one sweeps what a killed one left" box -- true
fact "of its cgroups nothing is there" until_true 300 groups_swept "$killed" box -- true

# ---- at a terminal ----
out=$("$here/sandbox-terminal" "$assay" 2>&1) || failures=$((failures + 1))
echo "$out"

# ---- the manual ----
in_manual() {
	local o
	for o in $("$assay" sandbox --help | sed '/^Example/,$d' | grep -oE '(^| )--[a-z][a-z-]+' | grep -vE -- '--(help|usage)$' | sort -u); do
		grep -qF -- "\\-\\-$(sed 's/^--//; s/-/\\-/g' <<<"$o")" "$source/deploy/man/assay-sandbox.1" || { echo "$o is not in assay-sandbox(1)" && return 1; }
	done
}
fact "the manual knows each option" in_manual
# Each example as it stands, but that nothing is run: its words are read and what it needs is looked for.
examples() {
	local line n=0 at=$work/examples
	mkdir -p "$at/debian" "$at/empty"
	while read -r line; do
		(cd "$at" && assay() { "$assay" "$1" --plan "${@:2}"; } && eval "$line") >"$work/fact.plan" || { echo "$line"; return 1; }
		n=$((n + 1))
		[[ $line != *apt* ]] || has "$line" "--ids range" || return
	done < <(sed 's/ *#.*//; s/\\-/-/g' "$1" | grep -E '^ *assay sandbox .* -- ')
	is "$(ls "$at")" $'debian\nempty' && [ $n -ge 3 ] || { echo "$n examples; $(ls "$at")"; return 1; }
}
"$assay" sandbox --help >"$work/help"
for f in "$work/help" "$source/README.md" "$source/deploy/man/assay-sandbox.1"; do
	fact "each example can be read: $(basename "$f")" examples "$f"
done
fact "--help has an example" bash -c '"$1" sandbox --help | grep -q "assay sandbox --tty"' - "$assay"
over
