#!/bin/bash
# Who makes the boxes changes no result: one small suite under each executor there is, row by row the same as natively. Of
# phases in overlays over each other, a store that is harvested, links and removals, exits, signals and limits.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

executors=()
for executor in crun runc podman; do
	command -v $executor >/dev/null && executors+=($executor)
done
[ ${#executors[@]} -gt 0 ] || skip "neither crun nor runc nor podman is installed"

mkdir -p "$work/old/opt/lang" "$work/new/opt/lang"
echo 1 >"$work/old/opt/lang/version"
echo 2 >"$work/new/opt/lang/version"
chmod -R a+rX "$work"/old "$work"/new
cat >"$work/suite.yaml" <<END
assay: 1
suite: executors
root: host
workdir: /build
mounts:
  - {path: /build, mode: cow}
stores:
  - {name: depot, path: /depot, rules: [{match: "**", do: same}]}
limits: {time: 1h, memory: 128M, processes: 40, log: 100K, disk: 20M}
phases:
  - name: fetch
    network: none
    once-per: package
    harvest: [depot]
    run: |
      mkdir -p a/b /depot/pkg
      echo "\$ASSAY_PACKAGE" >a/b/name
      ln -s b a/link
      echo gone >a/gone
      echo "source of \$ASSAY_PACKAGE" >/depot/pkg/\$ASSAY_PACKAGE
      touch -d @1000000000 /depot/pkg/\$ASSAY_PACKAGE
  - name: test
    goal: true
    run: |
      [ "\$(cat a/link/name) \$(cat /depot/pkg/\$ASSAY_PACKAGE)" = "\$ASSAY_PACKAGE source of \$ASSAY_PACKAGE" ]
      rm -r a && mkdir a && echo new >a/new && ls -A a
      echo "\$(id -u):\$(id -g) \$(pwd) \$(hostname) \$(umask) lang \$(cat /opt/lang/version)"
      grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status
      cut -d' ' -f5 /proc/self/mountinfo | sort
      ls /dev /sys; cat /proc/1/comm
      case \$ASSAY_PACKAGE in
      exit) exit \$(cat /opt/lang/version) ;;
      abort) kill -ABRT \$\$ ;;
      kill) kill -KILL \$\$ ;;
      memory) { head -c 300M /dev/zero; sleep 1000; } | tail ;;
      forks) for i in \$(seq 100); do sleep 1000 & done; wait ;;
      talk) yes ;;
      disk) head -c 40M /dev/zero >big; sleep 1000 ;;
      daemon) (setsid sleep 100 &) ; echo left ;;
      absent) exec /no/such/program ;;
      esac
packages: [pass, exit, abort, kill, memory, forks, talk, disk, daemon, absent]
variants:
  - {name: old, layers: [$work/old]}
  - {name: new, layers: [$work/new]}
compare: [old, new]
END
# of its own, for on a busy machine anybody may be silent for so long
cat >"$work/silent.yaml" <<END
assay: 1
suite: silent
root: host
limits: {time: 1h, silence: 2s}
phases: [{name: test, run: "trap '' TERM; (setsid sleep 1000 &) ; exec sleep 1000"}]
packages: [silent]
variants: [{name: new}]
END

# what is to be the same of a run: results, phases with what they said, the store's entries
rows() {
	ask "SELECT package, variant, status, phase, reason, limit_hit FROM v_result ORDER BY package, variant"
	# who is ended for memory or forks may have had time to say so, or not
	ask "SELECT package, variant, phase, ended_as, limit_hit,
		CASE WHEN package NOT IN ('memory', 'forks') THEN coalesce(exit_code, '') || '/' || coalesce(signal, '') END,
		CASE WHEN package NOT IN ('memory', 'forks', 'talk') THEN log_bytes END
		FROM v_phase ORDER BY package, variant, phase"
	# what they said; how it is cut in the file is a matter of time
	ask "SELECT log FROM v_phase WHERE package NOT IN ('memory', 'forks', 'talk') AND log IS NOT NULL
		ORDER BY package, variant, phase" | while read -r log; do
		echo "${log##*/} $(zstdcat "$ASSAY_STATE/$log" | sha256sum)"
	done
	ask "SELECT path, type, mode, sha256 FROM v_entry ORDER BY path"
}
for executor in native "${executors[@]}"; do
	export ASSAY_STATE=$work/state.$executor
	fact "$executor runs the suite" ends 0 "$assay" run --fresh "$work/suite.yaml" --jobs 4 --executor "$executor"
	fact "$executor runs one that is silent" ends 0 "$assay" run --fresh "$work/silent.yaml" --executor "$executor"
	rows >"$work/rows.$executor"
	fact "$executor's phases say who made their boxes" is "$(ask "SELECT DISTINCT executor FROM v_phase")" "$executor"
	fact "$executor's run does, too" has "$(ask "SELECT engine FROM v_run WHERE run = 1")" "$executor, "
done
fact "natively there are as many results as jobs" is "$(ASSAY_STATE=$work/state.native ask "SELECT count(*) FROM v_result")" 21
fact "and of each kind" is "$(ASSAY_STATE=$work/state.native ask "SELECT group_concat(x, ' ') FROM (
	SELECT DISTINCT package || ':' || status || '/' || coalesce(nullif(limit_hit, 'none'), coalesce(signal, exit_code)) AS x
	FROM v_result WHERE variant = 'new' ORDER BY package)")" \
	"abort:crash/6 absent:fail/127 daemon:pass/0 disk:kill/disk exit:fail/2 forks:kill/processes kill:crash/9 memory:kill/memory pass:pass/0 silent:kill/silence talk:kill/log-size"
for executor in "${executors[@]}"; do
	fact "every row of $executor is what it is natively" diff "$work/rows.native" "$work/rows.$executor"
done
fact "who is not there is told" ends 3 "$assay" run --fresh "$work/suite.yaml" --executor wizard
over
