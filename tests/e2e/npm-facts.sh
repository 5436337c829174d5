#!/bin/bash
# What the npm ecosystem file promises, one check each, with the real program and npm against a small registry of our own:
# no package code in a fetch, no network for package code, exact installs, nothing fetched twice, names only in the environment.
# Needs an npm client and its registry once, for the layers; they are kept in the build directory.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
command -v npm >/dev/null || skip "no npm client"
command -v python3 >/dev/null || skip "no python3"

ASSAY_STATE=$build/npm-facts-state
export ASSAY_STATE
[ -w "$build" ] || skip "$build is not ours to write to"
mkdir -p "$ASSAY_STATE"
if ! ASSAY=$assay timeout 900 "$source/deploy/npm-layers" 22 24 >"$ASSAY_STATE/layers.log" 2>&1; then
	cat "$ASSAY_STATE/layers.log"
	skip "the layers could not be made (no registry?)"
fi

# ---- a registry with three packages
package() { # NAME VERSION MORE-JSON
	mkdir -p "$work/registry/$1/$2"
	echo "{\"name\":\"$1\",\"version\":\"$2\"$3}" >"$work/registry/$1/$2/package.json"
	echo 'module.exports = require("./package.json").version;' >"$work/registry/$1/$2/index.js"
}
package good 1.0.0 ''
package loud 1.0.0 ',"scripts":{"preinstall":"touch /build/LOUD","install":"touch /build/LOUD","postinstall":"touch /build/LOUD"}'
package debug 1.0.0 '' # a word that old Nodes take as a command when it is an argument
"$here/npm-registry" serve "$work/registry" "$work/requests" >"$work/url" &
server=$!
started+=("$server")
until_true 300 test -s "$work/url" || skip "the small registry does not start"
npm_config_registry=$(cat "$work/url")
export npm_config_registry
touch "$work/requests"

# ---- suites
lock() { # FILE SPEC...
	"$here/npm-registry" lock "$work/registry" "${@:2}" >"$work/$1"
}
suite() { # NAME: its packages, JSON lines, are on stdin
	cat >"$work/$1.jsonl"
	cat >"$work/$1.yaml" <<-END
		assay: 1
		suite: $1
		use: npm
		limits: {time: 1h, silence: 30m}
		packages:
		  - file: $1.jsonl
		variants:
		  - {name: a, layers: [node-22]}
		  - {name: b, layers: [node-24]}
		compare: [a, b]
	END
}
# run SUITE: the number of the run it made is in $run afterwards
run() {
	"$assay" run --fresh "$work/$1.yaml" >"$work/$1.log" 2>&1
	local status=$?
	run=$(ask "SELECT max(id) FROM run")
	[ $status -le 1 ] || sed 's/^/     /' "$work/$1.log"
	return $status
}
# statuses RUN PACKAGE: of both variants, "a:pass:test b:pass:test"
statuses() {
	ask "SELECT group_concat(variant || ':' || status || ':' || phase, ' ')
	     FROM (SELECT * FROM v_result WHERE run = $1 AND package = '$2' ORDER BY variant)"
}
both() { is "$(statuses "$run" "$1")" "a:$2 b:$2"; }

lock good.lock good@1.0.0 loud@1.0.0
lock debug.lock debug@1.0.0
cat >"$work/probe.js" <<'END'
const dns = require("dns"), net = require("net"), os = require("os"), fs = require("fs");
const fail = (why) => { console.log(why); process.exit(1); };
if (Object.keys(os.networkInterfaces()).some((i) => i !== "lo")) fail("an interface other than lo");
dns.lookup("localhost", (e, address) => {
  if (e) fail("localhost does not resolve: " + e.code);
  const server = net.createServer().listen(0, address, () => {
    net.connect(server.address().port, address, () => {
      const away = net.connect(Number(process.env.OUTSIDE_PORT), "127.0.0.1");
      away.on("connect", () => fail("the host's loopback is reachable"));
      away.on("error", () => process.exit(0));
    });
  });
});
END
# what is passed as a file of the package is under /input in every phase
port=${npm_config_registry##*:}
suite facts <<END
{"name": "good", "version": "1.0.0", "files": {"package-lock.json": "good.lock"}, "env": {"ASSAY_TEST": "test ! -e /build/LOUD && node -p 'require(\"good\")' | grep -x 1.0.0"}}
{"id": "net", "name": "good", "version": "1.0.0", "files": {"package-lock.json": "good.lock", "probe.js": "probe.js"}, "env": {"OUTSIDE_PORT": "$port", "ASSAY_TEST": "node /input/probe.js"}}
{"name": "debug", "version": "1.0.0; touch /build/PWNED; \$(touch /build/PWNED)", "files": {"package-lock.json": "debug.lock"}}
{"id": "argv", "name": "debug", "version": "1.0.0", "files": {"package-lock.json": "debug.lock"}, "env": {"ASSAY_TEST": "test ! -e /build/PWNED && node -e 'process.exit(process.argv.length - 1)' && ! cat /proc/[0-9]*/cmdline | tr '\\\\0' '\\\\n' | grep -x '[d]ebug'"}}
{"id": "node", "name": "good", "version": "1.0.0", "files": {"package-lock.json": "good.lock"}, "env": {"ASSAY_TEST": "test \$(command -v node) = /opt/node/bin/node && node -p process.version | grep -E '^v2[24][.]' && case \$(node -p process.version):\$ASSAY_VARIANT in v22.*:a|v24.*:b) ;; *) exit 1;; esac"}}
{"id": "rewriter", "name": "good", "version": "1.0.0", "files": {"package-lock.json": "good.lock"}, "env": {"ASSAY_TEST": "mkdir -p /root/.npm/_cacache/index-v5/00 && echo poison > /root/.npm/_cacache/index-v5/00/poison && find /root/.npm/_cacache -type f -exec sh -c 'echo poison > \"\$1\"' sh {} ';'; true"}}
END

fact "a suite of the npm ecosystem runs" run facts
first=$run
fact "an install runs no package code, not even its root's" both good pass:test
fact "package code has no network but a loopback, on which localhost resolves" both net pass:test
fact "a hostile version stays text, a package may be called debug" both debug pass:test
fact "the package's name is in no process's arguments" both argv pass:test
fact "a variant is judged under its own node" both node pass:test
fact "one fetch serves both variants" is \
	"$(ask "SELECT count(*) FROM v_phase WHERE run = $first AND phase = 'fetch' AND package = 'good' AND ended_as = 'exited' AND exit_code = 0")" 1
fact "the store has cache content and its index only" is \
	"$(ask "SELECT count(*) FROM v_entry WHERE path NOT GLOB 'content-v2/*' AND path NOT GLOB 'index-v5/*' AND path NOT IN ('content-v2', 'index-v5')")" 0
fact "what a test writes into the cache reaches no store" is \
	"$(ask "SELECT count(*) FROM v_entry WHERE path GLOB '*poison*'")" 0
generations() { ask "SELECT count(*) FROM generation"; }
before=$(generations)
requests=$(wc -l <"$work/requests")

fact "it runs again" run facts
fact "the second run asks the registry nothing" is "$(wc -l <"$work/requests")" "$requests"
fact "what npm rewrites without a change is no change: no new generation" is "$(generations)" "$before"
fact "and its results are the same" is "$(statuses "$run" good) $(statuses "$run" net)" "$(statuses "$first" good) $(statuses "$first" net)"

# ---- versions
package good 1.1.0 ''
lock newer.lock good@1.1.0
suite newer <<END
{"name": "good", "version": "1.1.0", "files": {"package-lock.json": "newer.lock"}, "env": {"ASSAY_TEST": "node -p 'require(\"good\")' | grep -x 1.1.0"}}
{"id": "range", "name": "good", "version": "^1.0.0", "env": {"ASSAY_TEST": "node -p 'require(\"good\")' | grep -x 1.1.0"}}
END
fact "a suite that wants a newer version runs" run newer
fact "a lock that is newer than the cached list of versions installs" both good pass:test
fact "without a lock the newest version is taken, not the cached one" both range pass:test

# ---- a root file system with next to nothing in it: no /etc, and so no /etc/hosts
tiny=$work/tiny
carry() { # FILE: and the libraries it needs, where they are on this machine
	local f
	for f in "$1" $(ldd "$1" | grep -oE '/[^ ]+'); do
		mkdir -p "$tiny${f%/*}" && cp -L "$f" "$tiny$f"
	done
}
tiny_root() {
	mkdir -p "$tiny/bin" "$tiny/usr/bin"
	for program in sh cp env; do
		carry "$(command -v $program)" && cp -L "$(command -v $program)" "$tiny/usr/bin/" && cp -L "$(command -v $program)" "$tiny/bin/"
	done
	"$assay" layer import npm-facts-tiny "$tiny"
}
for node in "$ASSAY_STATE"/layers/*/opt/node/bin/node; do carry "$node"; done
rm -rf "$tiny$ASSAY_STATE"
fact "a root of three programs is a layer" tiny_root
suite tiny <<END
{"id": "net", "name": "good", "version": "1.0.0", "files": {"package-lock.json": "good.lock", "probe.js": "probe.js"}, "env": {"OUTSIDE_PORT": "$port", "ASSAY_TEST": "if [ -d /usr/share ]; then exit 9; fi; exec node /input/probe.js"}}
END
echo 'root: npm-facts-tiny' >>"$work/tiny.yaml"
fact "a suite runs on it" run tiny
fact "localhost resolves where the root has no /etc/hosts" both net pass:test

# ---- deletions
suite eraser <<END
{"name": "good", "version": "1.0.0", "files": {"package-lock.json": "good.lock"}, "env": {"ASSAY_TEST": "ls /root/.npm/_cacache"}}
END
cat >>"$work/eraser.yaml" <<'END'
phases:
  - {name: fetch, run: 'rm -r /root/.npm/_cacache/content-v2 /root/.npm/_cacache/index-v5', offline-first: false}
END
before=$(generations)
fact "a fetch that empties the cache runs" run eraser
fact "its deletions are seen" is \
	"$(ask "SELECT count(*) > 0 FROM v_note WHERE run = $run AND change = 'deleted'")" 1
fact "and reach no store" is "$(generations)" "$before"

# ---- without the registry
kill "$server" && wait "$server" 2>/dev/null
fact "it runs with the registry gone" run newer
fact "a locked package needs no registry any more" both good pass:test
fact "without a lock a registry out of reach is no silent success" is \
	"$(statuses "$run" range | grep -c pass)" 0

over
