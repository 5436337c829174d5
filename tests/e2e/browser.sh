#!/bin/bash
# The report in a real browser: headless Chromium through playwright-core, where both are there (npm install playwright-core in
# $ASSAY_PLAYWRIGHT, or below this directory). Once with a small run, once with 20,000 packages.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
chromium=$(command -v chromium || command -v chromium-browser || command -v google-chrome) || skip "no chromium"
command -v node >/dev/null || skip "no node"
command -v zstd >/dev/null || skip "no zstd"
export ASSAY_PLAYWRIGHT=${ASSAY_PLAYWRIGHT:-$here}
node -e 'require("module").createRequire(process.argv[1] + "/x.js").resolve("playwright-core")' "$ASSAY_PLAYWRIGHT" 2>/dev/null ||
	skip "no playwright-core in $ASSAY_PLAYWRIGHT (npm install --prefix DIRECTORY playwright-core, ASSAY_PLAYWRIGHT=DIRECTORY)"
[ -x "$build/bench_nights" ] || skip "no bench_nights: cmake --build $build --target bench_nights"
shots=${ASSAY_SHOTS:-$work}
export HOME=$work

for packages in 60 20000; do
	export ASSAY_STATE=$work/state.$packages
	mkdir -m 700 "$ASSAY_STATE"
	"$build/bench_nights" "$ASSAY_STATE/assay.db" 3 "$packages" >/dev/null || exit 1
	mkdir -p "$ASSAY_STATE/runs/3"
	{ seq -f 'line %g' 1 3000; printf '\033[31m\001</pre><script>document.title = "taken over"</script>\nthe end\n'; } | zstd -q >"$work/log"
	ask "SELECT f.log FROM v_phase f JOIN v_verdict v ON v.run = f.run AND v.package = f.package
		WHERE f.run = 3 AND f.exit_code <> 0 AND v.verdict = 'regressed' ORDER BY f.log LIMIT 400" | while read -r log; do
		cp "$work/log" "$ASSAY_STATE/$log"
	done
	fact "a report of $packages packages is written" ends 0 "$assay" report --out "$work/out.$packages"
	mkdir -p "$shots/$packages"
	timeout 200 node "$here/report-browser.mjs" "$chromium" "$work/out.$packages/run-3.html" "$shots/$packages" || failures=$((failures + 1))
done
over
