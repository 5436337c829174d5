#!/bin/bash
# Rules whose word a program has: in a box, once for all files of a harvest, and as hostile as what it reads.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
"$assay" sandbox true >"$work/first" 2>&1 || skip "no box can be made here: $(head -n 1 "$work/first")"

cache() { "$assay" cache "$@"; }
mkdir "$work/tools"
echo "from a layer" >"$work/tools/a-layer"
cat >"$work/suite.yaml" <<EOF
assay: 1
suite: facts
root: host
layers: [$work/tools]
env: {ABOUT: suite}
stores:
  - name: facts
    path: /facts
    rules:
      # lines of both, each once; what says KEEP, DIE, LINK … is to be tried out
      - match: "lines/**"
        do: program
        run: |
          printf '%s ' "\$ASSAY_PATH" >>/tmp/seen
          case \$(cat "\$ASSAY_NEW") in
          KEEP) echo "of no use" >"\$ASSAY_OUT"; exit 77 ;;
          DIE) echo; echo "no facts in it" >&2; exit 3 ;;
          KILLED) kill -KILL \$\$ ;;
          LINK) ln -s /etc/passwd "\$ASSAY_OUT"; exit ;;
          DIR) mkdir "\$ASSAY_OUT"; exit ;;
          FIFO) mkfifo "\$ASSAY_OUT"; exit ;;
          NOTHING) exit ;;
          CLOSED) cp "\$ASSAY_NEW" "\$ASSAY_OUT"; chmod 4711 "\$ASSAY_OUT"; exit ;;
          FLOOD) cat /dev/zero >"\$ASSAY_OUT" ;;
          NET) ! cat /proc/net/route | grep -q '^[^I]' && cp "\$ASSAY_NEW" "\$ASSAY_OUT"; exit ;;
          TOUCH) for f in "\$ASSAY_NEW" /program/run /program/in/x /a-layer /usr/x; do ! (: >>"\$f") || exit 5; done ;;
          SEEN) { cat /tmp/seen /a-layer; echo "\$ABOUT \${ASSAY_OLD:-none}"; } >"\$ASSAY_OUT"; exit ;;
          esac
          sort -u \${ASSAY_OLD:+"\$ASSAY_OLD"} "\$ASSAY_NEW" >"\$ASSAY_OUT"
      - {match: "fork/**", do: program, run: "f() { f & f; }; f; cp \$ASSAY_NEW \$ASSAY_OUT", limits: {processes: 20}}
      - {match: "hang/**", do: program, run: "sleep 600", limits: {time: 2s}}
      - {match: "full/**", do: program, run: "while :; do cat /dev/zero >\$ASSAY_OUT || mv \$ASSAY_OUT \$ASSAY_OUT.\$((i += 1)); done", limits: {disk: 40M}}
packages: [one, two]
variants: [{name: v}]
limits: {time: 10m}
inherit-env: [STEP]
phases:
  - {name: fetch, once-per: package, harvest: [facts], run: 'cd /facts; eval "\$STEP"'}
  - {name: test, run: "true"}
EOF
step() { STEP=$2 ends "$1" cache refresh "$work/suite.yaml" --jobs 1; }
shown() { rm -rf "$work/out" && cache restore facts/facts "$work/out" >"$work/restore.log" 2>&1 && cat "$work/out/$1"; }
change() { ask "SELECT change FROM v_entry WHERE path = '$1' UNION ALL SELECT change FROM v_note WHERE path = '$1' ORDER BY change LIMIT 1"; }
why() { ask "SELECT reason FROM v_note WHERE path = '$1'" | tail -n 1; }

fact "two jobs bring facts" step 0 'mkdir -p lines && { echo common; echo "$ASSAY_PACKAGE"; } >lines/list && echo "of $ASSAY_PACKAGE" >"lines/it'\''s \$(of) $ASSAY_PACKAGE"'
fact "what both said is one list" is "$(shown lines/list | tr '\n' ' ')" "common one two "
fact "names are what they are" is "$(shown "lines/it's \$(of) two")" "of two"
fact "nobody was refused" is "$(ask "SELECT sum(refused) + sum(conflicts) FROM v_harvest")" 0
fact "the store is whole" ends 0 cache verify
rm -rf "$ASSAY_STATE/layers" "$ASSAY_STATE"/assay.db*
fact "and can be had from its archive" ends 0 cache rebuild
fact "with what the program made" is "$(shown lines/list | tr '\n' ' ')" "common one two "
fact "a plan says who judges" has "$("$assay" plan "$work/suite.yaml")" "lines/** a program judges"
fact "what it has already is nothing to ask about" step 0 'echo common >lines/list; touch -d @1000000000 lines/list'
fact "or makes nothing new" is "$(ask "SELECT count(*) FROM v_store")" "$(ask "SELECT count(DISTINCT generation) FROM v_harvest WHERE generation IS NOT NULL")"

all='KEEP DIE KILLED LINK DIR FIFO NOTHING CLOSED FLOOD NET TOUCH SEEN'
fact "hostile ones come along" step 1 '[ $ASSAY_PACKAGE = one ] || exit 0; for w in '"$all"'; do echo $w >lines/$w; done; ln -s list lines/SLINK; echo good >lines/last'
fact "one program was asked about all, in order" has "$(shown lines/SEEN)" "lines/CLOSED lines/DIE lines/DIR lines/FIFO lines/FLOOD lines/KEEP lines/KILLED lines/LINK lines/NET lines/NOTHING lines/SEEN from a layer"
fact "with the environment of the suite, and nothing old" has "$(shown lines/SEEN)" "suite none"
fact "what keeps the store's is not in it" test ! -e "$work/out/lines/KEEP"
fact "and is no trouble" is "$(change lines/KEEP)" dropped
fact "a status is told, and what was said" is "$(why lines/DIE)" "its program ended with status 3: no facts in it"
fact "a signal is told" has "$(why lines/KILLED)" "its program was ended by signal 9"
fact "a link is no result" has "$(why lines/LINK)" "its program's result: "
fact "nothing of this machine came in" ends 1 grep -rq root: "$work/out"
fact "a directory is none" has "$(why lines/DIR)" "not a regular file"
fact "a fifo is none" has "$(why lines/FIFO)" "not a regular file"
fact "nothing is none" has "$(why lines/NOTHING)" "there is none"
fact "what floods is stopped" has "$(why lines/FLOOD)" "its program "
fact "modes of a result are nobody's" is "$(stat -c %a "$work/out/lines/CLOSED")" 644
fact "there is no network" is "$(shown lines/NET)" NET
fact "and nothing it may write but its result" is "$(shown lines/TOUCH)" TOUCH
fact "a link is nothing to ask about" is "$(why lines/SLINK)" "a link where a rule wants a file"
fact "those after them are asked about as well" is "$(shown lines/last)" good

fact "one that hangs" step 1 '[ $ASSAY_PACKAGE = one ] || exit 0; mkdir hang && echo 1 >hang/a && echo 1 >hang/b && echo beside >beside'
fact "is ended by its limit" is "$(why hang/a)" "its program was ended by its limit: wall-time"
fact "which is told of all that waited" is "$(why hang/b)" "its program was ended by its limit: wall-time"
fact "what is beside it comes in" is "$(shown beside)" beside
fact "one that fills its disk, and one that forks" step 1 '[ $ASSAY_PACKAGE = one ] || exit 0; mkdir full fork && echo 1 >full/a && echo 1 >fork/a'
fact "the one is ended by that limit" is "$(why full/a)" "its program was ended by its limit: disk"
fact "the other can fork no more" has "$(why fork/a)" "its program "

# ---- by hand
mkdir -p "$work/in/lines"
printf 'zebra\ncommon\n' >"$work/in/lines/list"
fact "by hand, too, its program has the word" ends 0 cache publish facts/facts "$work/in" --suite "$work/suite.yaml"
fact "of what comes in" is "$(shown lines/list | tr '\n' ' ')" "common one two zebra "

# ---- killed
sed -i 's/time: 2s/time: 1h/' "$work/suite.yaml"
STEP='mkdir -p hang; echo 2 >hang/a' "$assay" cache refresh "$work/suite.yaml" --jobs 1 >"$work/killed.log" 2>&1 &
killed=$!
started+=("$killed")
asked() { compgen -G "$ASSAY_STATE/aside/$killed.*/u/1.says" >/dev/null; }
fact "a program runs" until_true 300 asked
kill -KILL "$killed"
{ wait "$killed"; } 2>/dev/null
left() { [ "$(find "$ASSAY_STATE"/tmp "$ASSAY_STATE"/aside -mindepth 1 | wc -l)" = 0 ]; }
fact "killed with all of assay, nothing changed" ends 0 cache verify
# its box may still be on its last instructions: the next one then sweeps it
swept() { left || { cache verify >/dev/null; left; }; }
fact "and nothing is left" until_true 300 swept
fact "no control group either" until_true 300 groups_swept "$killed" cache verify
fact "all is as it should be" is "$(shown lines/list | tr '\n' ' ')" "common one two zebra "

# ---- ended
STEP='mkdir -p hang; echo 3 >hang/a' "$assay" cache refresh "$work/suite.yaml" --jobs 1 >"$work/ended.log" 2>&1 &
killed=$!
started+=("$killed")
fact "a program runs again" until_true 300 asked
kill -TERM "$killed"
fact "a run that is asked to stop lets it" until_true 300 grep -q "asked to stop" "$work/ended.log"
kill -TERM "$killed"
wait "$killed"
fact "asked once more it ends it" is "$(why hang/a)" "the run was ended before its program had an answer"
fact "and leaves nothing" left

# ---- elsewhere
sed "s/time: 1h/time: 2s/; s/, two\]/]/; s#layers: .*#layers: [mine]#" "$work/suite.yaml" >"$work/one.yaml"
fact "a layer is made" ends 0 "$assay" layer import mine "$work/tools"
fact "a run over it" env STEP='mkdir -p lines; echo mine >lines/list' "$assay" run --fresh "$work/one.yaml"
fact "one of its packages is packed" ends 0 "$assay" export "$(ask 'SELECT max(run) FROM v_run')" one "$work/one.assay"
far() { ASSAY_STATE=$work/far ASSAY_BOX=/bin/false "$assay" "$@"; }
fact "and taken in elsewhere, without a box" ends 0 far import "$work/one.assay"
fact "with its store" has "$(far cache list)" facts
fact "and with its programs" grep -q '"do": "program"' "$work"/far/imports/*/suite.yaml

sed 's/layers: .*/layers: [none-such]/' "$work/suite.yaml" >"$work/wrong.yaml"
fact "what its box needs is asked for before anything runs" ends 3 "$assay" run --fresh "$work/wrong.yaml"
fact "by name" has "$said" none-such
over
