#!/bin/bash
# The whole river without any registry: packages of three kinds of lists, two variants that are directories, a shared store,
# phases as layers, comparison, report, queries, a second run that brings nothing new, and the archive read by tar alone.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

mkdir -p "$work/old/opt/lang/bin" "$work/new/opt/lang/bin"
printf '#!/bin/sh\necho "lang 1: $*"; exit 0\n' >"$work/old/opt/lang/bin/lang"
# the new one no longer takes --legacy, dies of the word abort, and newly knows "modern"
cat >"$work/new/opt/lang/bin/lang" <<'END'
#!/bin/sh
echo "lang 2: $*"
case " $* " in
*" --legacy "*) echo "Error: option --legacy was removed"; exit 2 ;;
*" abort "*) kill -ABRT $$ ;;
esac
END
sed -i 's/exit 0/case " $* " in *" modern "*) echo "Error: unknown word modern"; exit 3;; esac/' "$work/old/opt/lang/bin/lang"
chmod -R a+rX,u+w "$work/old" "$work/new"
chmod 755 "$work"/*/opt/lang/bin/lang

mkdir -p "$work/ecosystems"
echo "lock of the house" >"$work/lock"
echo "read me" >"$work/notice"
cat >"$work/ecosystems/lang.yaml" <<'END'
assay: 1
ecosystem: lang
root: host
workdir: /build
env:
  PATH: /opt/lang/bin:/usr/local/bin:/usr/bin:/bin
mounts:
  - {path: /build, mode: cow}
  - {path: /var/lang.lock, mode: cow, source: ../lock}
  - {path: /opt/notice/now, mode: ro, source: ../notice}
stores:
  - name: depot
    path: /depot
    rules:
      - {match: "tmp/**", do: drop}
      - {match: "index/**", do: keep}
      - {match: "**", do: same}
limits: {time: 1h, silence: 30m, memory: 512M, processes: 64, log: 1M}
phases:
  - name: fetch
    network: none
    once-per: package
    harvest: [depot]
    run: |
      mkdir -p /depot/pkg /depot/tmp
      [ ! -e "/depot/pkg/$ASSAY_PACKAGE" ] || echo "depot has $ASSAY_PACKAGE"
      echo "source of $ASSAY_PACKAGE $ASSAY_VERSION" > "/depot/pkg/$ASSAY_PACKAGE"
      touch -d @1000000000 "/depot/pkg/$ASSAY_PACKAGE"
      echo scratch > "/depot/tmp/$ASSAY_PACKAGE"
      case $ASSAY_PACKAGE in unfetchable) echo "no such package"; exit 4;; esac
      echo fetched > fetched
      grep -qx "read me" /opt/notice/now
      grep -qx "lock of the house" /var/lang.lock
      echo "$ASSAY_PACKAGE" > lock.new
      mv lock.new /var/lang.lock
  - name: build
    run: |
      cat fetched "/depot/pkg/$ASSAY_PACKAGE"
      echo "built for $ASSAY_VARIANT" > built
      [ "$(cat /var/lang.lock)" = "$ASSAY_PACKAGE" ]
      rm /var/lang.lock
  - name: test
    goal: true
    run: |
      cat built
      [ ! -e /var/lang.lock ]
      grep -qx "built for $ASSAY_VARIANT" built
      echo spoilt > "/depot/pkg/$ASSAY_PACKAGE"
      exec lang "$ASSAY_PACKAGE" ${LANG_FLAGS:-}
log-rules:
  - {match: '^Error: option .* was removed', reason: fail/test-failed}
END
cat >"$work/list.txt" <<'END'
# one per line
gamma@3.0
delta
END
cat >"$work/list-packages" <<'END'
#!/bin/sh
echo '{"name": "legacy", "version": "1.0", "env": {"LANG_FLAGS": "--legacy"}}'
echo '{"id": "crasher", "name": "abort", "version": "1.0"}'
echo '{"name": "modern", "version": "2"}'
echo '{"name": "unfetchable", "version": "0"}'
END
chmod 755 "$work/list-packages"
cat >"$work/suite.yaml" <<END
assay: 1
suite: river
use: lang
packages:
  - alpha@1.0
  - {name: "weird;touch \$(id)", version: "1 && false"}
  - file: list.txt
  - command: ./list-packages
variants:
  - {name: old, layers: [$work/old]}
  - {name: new, layers: [$work/new]}
compare: [old, new]
END

today=$(date -u +%F) # of the first run; it may be tomorrow when it is looked for
fact "the plan names every package" ends 0 "$assay" plan "$work/suite.yaml"
verbose=$("$assay" plan --verbose "$work/suite.yaml")
fact "the verbose one also what each box sees" has "$verbose" "cow   /build: what build left | what fetch left"
fact "and what all of them have once" is "$(grep -c '^ *PATH=' <<<"$verbose")" 1
fact "a single file is named as one" has "$verbose" "cow   /var/lang.lock: file $work/lock"
fact "a stranger to the state directory sees no run" ends 0 "$assay" status
fact "the run ends with 1: something regressed" ends 1 "$assay" run --fresh "$work/suite.yaml" --jobs 3
fact "the job whose answer is known had it" is "$(ask "SELECT answer, host = (SELECT host FROM v_run LIMIT 1) FROM v_canary")" "right,1"
fact "and left nothing" is "$(ls -A "$ASSAY_STATE/jobs")" ""
fact "each job knows where it ran" is "$(ask "SELECT count(*) FROM v_job WHERE host IS NULL")" 0
run=$(ask "SELECT max(id) FROM run")
result() { ask "SELECT group_concat(variant || ':' || status || '/' || reason || ':' || phase, ' ') FROM
	(SELECT * FROM v_result WHERE run = $run AND package = '$1' AND NOT repeat ORDER BY variant DESC)"; }
fact "a package that both understand passes" is "$(result alpha)" "old:pass/ok:test new:pass/ok:test"
fact "a name with shell in it is a name" is "$(result 'weird;touch $(id)')" "old:pass/ok:test new:pass/ok:test"
fact "a package from a file passes" is "$(result gamma)" "old:pass/ok:test new:pass/ok:test"
fact "a removed option is a failed test, by the ecosystem's rule" is "$(result legacy)" "old:pass/ok:test new:fail/test-failed:test"
fact "a signal is a crash" is "$(result crasher)" "old:pass/ok:test new:crash/abrt:test"
fact "a newly understood word is fixed" is "$(result modern)" "old:fail/exit:test new:pass/ok:test"
fact "a failed fetch is the result of both variants" is "$(result unfetchable)" "old:fail/exit:fetch new:fail/exit:fetch"
fact "a single file that phases replaced and removed is what it was" is "$(cat "$work/lock")" "lock of the house"
fact "the fetch of each package ran once" is "$(ask "SELECT count(*) FROM v_phase WHERE run = $run AND phase = 'fetch'")" 8
fact "builds ran once per variant" is "$(ask "SELECT count(*) FROM v_phase WHERE run = $run AND phase = 'build'")" 14

compared=$("$assay" compare)
fact "the comparison begins with what regressed" has "$compared" "legacy"
fact "its deciding line is there" has "$compared" "option --legacy was removed"
fact "as JSON it can be read by a program" python3 -c 'import json,sys; json.loads(sys.argv[1])' "$("$assay" compare --json)"
verdicts() { "$assay" compare --all --json | python3 -c '
import json, sys
def walk(x):
    if isinstance(x, dict):
        if "verdict" in x and "package" in x: yield x["package"], x["verdict"]
        for v in x.values(): yield from walk(v)
    elif isinstance(x, list):
        for v in x: yield from walk(v)
print(" ".join(f"{p}={v}" for p, v in sorted(walk(json.load(sys.stdin)))))'; }
fact "each package has its verdict" is "$(verdicts)" \
	"alpha=same crasher=regressed delta=same gamma=same legacy=regressed modern=fixed unfetchable=same weird;touch \$(id)=same"

fact "a report is written" ends 0 "$assay" report
page=$(ls "$ASSAY_STATE"/reports/*.html 2>/dev/null | head -n 1)
fact "it is one page that names the regression" grep -q legacy "$page"
fact "and refers to nothing outside itself" bash -c '! grep -oE "(src|href)=\"?(https?:)?//[^\" >]*" "$1"' - "$page"
fact "and says how to repeat it" grep -qE 'assay rerun [0-9]+ ' "$page"
reports=$ASSAY_STATE/reports/run-$run
fact "JUnit XML beside it is well-formed" python3 -c '
import sys, xml.etree.ElementTree as t
s = t.parse(sys.argv[1]).getroot()
assert (s.get("tests"), s.get("failures")) == ("8", "2"), s.attrib' "$reports.xml"
fact "CSV has a row for each package" python3 -c '
import csv, sys
rows = list(csv.DictReader(open(sys.argv[1])))
assert {r["package"] for r in rows if r["verdict"] == "regressed"} == {"legacy", "crasher"} and len(rows) == 8, rows' "$reports.csv"
"$assay" compare "$run" --json >"$work/compared.json"
fact "JSON says what compare says, and how the time was spent" python3 -c '
import json, sys
report, compared = (json.load(open(f)) for f in sys.argv[1:])
assert report["time"]["makespan_ms"] >= 0 and "skipped" in report["unchanged"], report
assert {k: v for k, v in report.items() if k not in ("time", "unchanged")} == compared' "$reports.json" "$work/compared.json"
fact "a Markdown summary is beside it" bash -c 'grep -q legacy "$1"/reports/*.md' - "$ASSAY_STATE"

fact "verdicts are recorded with the run" is "$(ask "SELECT group_concat(package || '=' || verdict, ' ') FROM
	(SELECT * FROM v_verdict WHERE run = $run AND verdict <> 'same' ORDER BY package)")" "crasher=regressed legacy=regressed modern=fixed"
sure() { ask "SELECT package, confidence, base_passes, base_runs, next_passes, next_runs, round(p, 4) FROM v_verdict
	WHERE run = $run AND verdict = 'regressed' ORDER BY package" | tr '\n' ' '; }
fact "what regressed was repeated until it was sure" is "$(sure)" "crasher,confirmed,5,5,0,5,0.0143 legacy,confirmed,5,5,0,5,0.0143 "
fact "of it only the phase that fails" is "$(ask "SELECT count(*) FROM v_phase WHERE run = $run AND package = 'legacy' AND phase <> 'test'")" 3
fact "which is said" has "$compared" "5/5 → 0/5, p 0.014, confirmed"
fact "so is whether the run can be believed" is "$(ask "SELECT validity FROM v_run WHERE run = $run")" valid
fact "what regressed is told by its causes" bash -c 'grep -A3 "^PACKAGES.*CAUSE" <<<"$1" | grep -q "new .*option --legacy was removed"' - "$compared"
sed 's/^suite: river/suite: river-known/' "$work/suite.yaml" >"$work/known.yaml"
cat >>"$work/known.yaml" <<'END'
known:
  - {package: legacy, variant: new, expect: fail, reason: the option is gone, until: 2999-12-31}
  - {package: abort, expect: skip, reason: dies of a word}
  - {package: alpha, expect: fail, reason: once it did}
END
fact "a regression that was known is none to exit for" ends 0 "$assay" run --fresh "$work/known.yaml" --only legacy crasher alpha
fact "it is told as known" has "$said" "1 regressed (1 of them known)"
fact "so is what no longer holds" has "$said" "fail, alpha: it passes now (once it did)"
fact "what is to be skipped is not run" is "$(ask "SELECT count(*) FROM v_phase WHERE suite = 'river-known' AND package = 'crasher'")" 0
fact "and its result says why" is "$(ask "SELECT group_concat(DISTINCT status || '/' || reason || ': ' || evidence) FROM v_job
	WHERE suite = 'river-known' AND package = 'crasher'")" "skip/listed: dies of a word"
sed -i 's/2999-12-31/2020-02-29/' "$work/known.yaml"
fact "an entry past its day is an error" ends 3 "$assay" run --fresh "$work/known.yaml" --only legacy
fact "with its place" has "$said" "known.yaml:14:5: what is known of legacy (fail) expired on 2020-02-29"
fact "that can be made a warning" ends 0 "$assay" run --fresh "$work/known.yaml" --only legacy --allow-expired

logs_of() { "$assay" logs "$@"; }
fact "logs are printed phase after phase" is "$(logs_of "$run" legacy --variant new | grep '^==' | uniq -c | tr -s ' ' | tr '\n' ' ')" \
	" 1 == legacy new build: exited with 0  1 == legacy new test: exited with 2  4 == legacy new test, repeat: exited with 2 "
fact "shared ones too" has "$(logs_of "$run" legacy --phase fetch)" "== legacy fetch: exited with 0"
fact "with what was said" has "$(logs_of "$run" legacy --phase test --variant new)" "Error: option --legacy was removed"
fact "lines are found in all logs of a run" is "$(logs_of --grep '^Error: .*(removed|modern)$' "$run" | grep -v ', repeat: ')" \
	"legacy new test: Error: option --legacy was removed
modern old test: Error: unknown word modern"
fact "none is exit status 1" ends 1 "$assay" logs --grep 'no such words' "$run"
fact "a pattern that is none is told" ends 3 "$assay" logs --grep '(' "$run"
fact "a package that is not there is told" ends 2 "$assay" logs "$run" nobody
fact "as such" is "$said" "assay: there is no package 'nobody' in run $run"
fact "and so is a variant" ends 2 "$assay" logs "$run" legacy --variant newest
fact "with its name" is "$said" "assay: run $run has no log of legacy under newest"
fact "a package's nights are told" has "$("$assay" history legacy)" "fail/test-failed in test"
fact "what failed is a query" is "$("$assay" query failures "$run" --json | grep -o '"package":"[^"]*","variant":"[^"]*"' | cut -d'"' -f4,8 | tr '\n' ' ')" \
	'crasher"new legacy"new modern"old unfetchable"old unfetchable"new '
fact "a day that is none is told" ends 3 "$assay" query regressions --since yesterday
fact "by the word" is "$said" "assay: 'yesterday' is no day: they are written as 2026-11-20"
fact "or is not written as days are" ends 3 "$assay" query regressions --since 2026-2-3
fact "and so is a run" ends 3 "$assay" query failures 999
fact "by its number" has "$said" "there is no run 999"
fact "and a package" ends 2 "$assay" query history nobody
fact "by its name" has "$said" "there is no package 'nobody' in any run"
fact "what regressed since a day" is "$("$assay" query regressions --since "$today" --csv | cut -d, -f4 | sort -u | tr '\n' ' ')" "crasher legacy package "
fact "--since is of nothing else" ends 3 "$assay" query failures --since 2026-01-01

fact "a side of a run gets a name" ends 0 "$assay" baseline save good "$run:old"
fact "and can be compared by it" ends 1 "$assay" compare @good "$run:new"
fact "a baseline that is not there is named" ends 2 "$assay" compare @bad "$run"
fact "one side is no comparison" ends 3 "$assay" compare @good "$run:old"

entries() { ask "SELECT group_concat(path, ' ') FROM (SELECT DISTINCT path FROM v_entry WHERE type = 'f' ORDER BY path)"; }
fact "the store has what fetches that passed brought, and no scratch" is "$(entries)" \
	"pkg/abort pkg/alpha pkg/delta pkg/gamma pkg/legacy pkg/modern pkg/weird;touch \$(id)"
fact "each entry knows its maker" is "$(ask "SELECT package || ' ' || phase FROM v_entry WHERE path = 'pkg/abort'")" "crasher fetch"
restore() {
	mkdir "$work/restored" && cat "$ASSAY_STATE"/seg/*.tar.zst | tar --zstd -x -C "$work/restored" &&
		is "$(cat "$work/restored/pkg/alpha" 2>/dev/null || cat "$work/restored"/*/pkg/alpha)" "source of alpha 1.0"
}
if command -v zstd >/dev/null; then
	fact "tar alone restores the store from its segments" restore
fi

fact "a variant against itself regresses nowhere" ends 0 "$assay" aa "$work/suite.yaml" --variant new
fact "and that is said" has "$said" "Noise floor: of 8 packages 0 differ from themselves, 0 as if they had regressed; 0 confirmed"
fact "a variant that is none is told" ends 3 "$assay" aa "$work/suite.yaml" --variant none
cat >"$work/slow.yaml" <<'END'
assay: 1
suite: slow
root: host
packages: [snail]
variants: [{name: only}, {name: too}]
phases:
  - {name: build, run: "echo built"}
  - {name: test, run: "echo first; i=0; while [ ! -e /go/on ] && [ $i -lt 36000 ]; do i=$((i+1)); sleep 0.1; done; echo last"}
mounts: [{path: /go, mode: ro, source: go}]
END
mkdir "$work/go"
"$assay" run --fresh "$work/slow.yaml" >"$work/slow.log" 2>&1 &
started+=($!)
slow=$!
followed() { grep -q "$1" "$work/followed"; }
until_true 300 bash -c '[ -n "$("$1" query --csv "SELECT phase_id FROM v_phase WHERE suite = '"'slow'"'" | tail -n +2)" ]' - "$assay"
"$assay" logs --follow "$(ask "SELECT max(run) FROM v_run WHERE suite = 'slow'")" snail >"$work/followed" 2>&1 &
follow=$!
started+=($follow)
fact "a log can be followed while it is written" until_true 300 followed first
fact "which is not its end" bash -c '! grep -q last "$1"' - "$work/followed"
touch "$work/go/on"
wait "$slow"
fact "following ends with the package" wait "$follow"
fact "and has all that was said" followed last
fact "by each phase once" is "$(grep '^==' "$work/followed" | sed 's/: exited with 0$//' | sort | tr '\n' ' ')" \
	"== snail only build == snail only test == snail too build == snail too test "
generations=$(ask "SELECT count(*) FROM generation")
fact "it runs again" ends 1 "$assay" run --fresh "$work/suite.yaml" --jobs 2
second=$(ask "SELECT max(id) FROM run")
fact "the second run brings the store nothing" is "$(ask "SELECT count(*) FROM generation")" "$generations"
logs() { local f; for f in "$ASSAY_STATE/runs/$1"/alpha.fetch*.log.zst; do zstdcat "$f"; done; }
if command -v zstdcat >/dev/null; then
	fact "and its boxes saw what the first one left" has "$(logs "$second")" "depot has alpha"
fi
fact "what a test writes into a store's path reaches no store" is \
	"$(ask "SELECT count(*) FROM harvest_note WHERE change = 'conflict'")" 0
fact "one package alone can be repeated" ends 1 "$assay" run --fresh "$work/suite.yaml" --only legacy
fact "its run has that package's jobs only" is "$(ask "SELECT count(*) FROM v_job WHERE run = (SELECT max(id) FROM run)")" 2
pair() { python3 -c 'import json,sys
j = json.load(sys.stdin)
print(j["run"], *(p["package"] + "=" + p["verdict"] for p in j["packages"]))'; }
fact "a run tells its comparison as JSON" is "$("$assay" run --fresh "$work/suite.yaml" --only legacy --json 2>/dev/null | pair)" \
	"$(ask "SELECT max(id) FROM run") legacy=regressed"
revised() { ask "SELECT reason || ' ' || coalesce(rule, '-') || ' ' || (revised_ms IS NOT NULL) FROM v_result
	WHERE run = $run AND package = 'modern' AND variant = 'old'"; }
fact "judged once more by the same rules nothing changes" has "$("$assay" reclassify "$run")" "Run $run: 0 of 32 results changed"
echo "  - {id: unknown-word, match: '^Error: unknown word', reason: fail/missing-dep}" >>"$work/ecosystems/lang.yaml"
said=$("$assay" reclassify "$run" --dry-run)
fact "a new rule would change what it matches" has "$said" "1 of 32 results would change"
fact "and is not obeyed yet" is "$(revised)" "exit - 0"
fact "then it is" has "$("$assay" reclassify "$run")" "fail/exit  fail/missing-dep  unknown-word"
fact "and the database says so, and that it was later" is "$(revised)" "missing-dep unknown-word 1"
rm "$ASSAY_STATE/runs/$run"/modern.old.test.log.zst
fact "a result of which the log is gone stays" has "$("$assay" reclassify "$run")" "0 of 31 results changed; 1 have no log"
fact "a run that is not there is named" ends 3 "$assay" reclassify 999
fact "two nights are compared, and nothing regressed" ends 0 "$assay" compare "$run" "$second"
fact "between other sides of them something did" ends 1 "$assay" compare "$run:old" "$second:new"
fact "a baseline is listed" has "$("$assay" baseline list)" "good"
fact "no directory of a job is left" is "$(ls "$ASSAY_STATE/jobs" | wc -l)" 0
fact "status tells of it" ends 0 "$assay" status
fact "status as JSON" python3 -c 'import json,sys; json.loads(sys.argv[1])' "$("$assay" status --json)"
over
