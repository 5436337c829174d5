#!/bin/bash
# Real programs that need a package registry: a Debian root made by mmdebstrap within a box, apt in it, npm ci. Skipped where none is reached.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
"$assay" sandbox true >"$work/first" 2>&1 || skip "no box can be made here: $(head -n 1 "$work/first")"

box() { "$assay" sandbox --time 20m --net host --env HOME=/tmp "$@" 2>&1; }
lines() { # TEXT LINE...: each line is in the text
	local text=$1 line
	shift
	for line; do
		has "$text" "$line" || return 1
	done
}
# again COMMAND...: a registry may be out of reach for a moment: what fails is tried three times
again() { "$@" || { sleep 5 && "$@"; } || { sleep 30 && "$@"; }; }
tried=0

npm_ci() {
	local said
	said=$(box --tmpfs /n --cd /n -- sh -ec 'echo "{\"name\":\"app\",\"version\":\"1.0.0\"}" >package.json
		npm install --silent --no-audit --no-fund --package-lock-only is-odd@3.0.1; npm ci --silent --no-audit --no-fund
		node -p "require(\"is-odd\")(3)"; ls node_modules; grep -c "\"integrity\": \"sha512-" package-lock.json')
	is "$said" $'true\nis-number\nis-odd\n2'
}
if command -v npm >/dev/null && timeout 120 npm ping >"$work/log" 2>&1; then
	tried=1
	fact "npm ci: a package and what it depends on" again npm_ci
else
	echo "skip npm ci: no npm client, or its registry does not answer"
fi

# ---- Debian: what installs packages gives files to many users, so it needs a range of ids
ids=(--ids range)
debian_here() {
	command -v mmdebstrap >/dev/null || { echo "no mmdebstrap here"; return 1; }
	read -r mirror release < <(apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 'Identifier: Packages' 'Origin: Debian' 'Component: main' 2>/dev/null)
	[ -n "${mirror:-}" ] || read -r mirror release < <(apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 'Identifier: Packages' 2>/dev/null)
	[ -n "${mirror:-}" ] || { echo "apt here knows no mirror"; return 1; }
	"$assay" sandbox "${ids[@]}" true || return 1
}
# The work of root in a box: only that root can remove it.
debian_empty() { "$assay" sandbox "${ids[@]}" --rw "$work/debian:/d" sh -c 'rm -rf /d/*' >/dev/null 2>&1; }
debian_gone() { debian_empty; quit; }
debian_made() {
	local said
	debian_empty
	# there is nothing to mount in a box: its root has no right to, and needs none
	said=$(box "${ids[@]}" --cow "$work/empty:/r" --keep "$work/debian/root" -- mmdebstrap --mode=root --variant=apt --format=directory \
		--skip=check/canmount,chroot/mount,output/mknod,output/dev "$release" /r "$mirror") || { tail -n 5 <<<"$said"; return 1; }
	has "$said" "success in" && [ -x "$work/debian/root/usr/bin/apt-get" ]
}
in_debian() { box "${ids[@]}" --root "$work/debian/root" --keep "$work/debian/new" --env DEBIAN_FRONTEND=noninteractive --env PATH=/usr/sbin:/usr/bin:/sbin:/bin -- sh -ec "$1"; }
apt_updates() {
	local said
	said=$(in_debian 'apt-get -q update; stat -c "%U %a" /var/lib/apt/lists/partial; ls /var/lib/apt/lists | grep -c _Packages')
	lines "$said" "Reading package lists" "_apt 700" && [ "$(tail -n 1 <<<"$said")" -ge 1 ]
}
apt_installs() {
	local said
	said=$(in_debian 'apt-get -q -y install hello sudo; hello; dpkg -s hello | grep Status; stat -c "%U:%G %a" /usr/bin/sudo /usr/bin/chage; dpkg --verify hello sudo && echo verified')
	lines "$said" "Setting up hello" "Hello, world!" "Status: install ok installed" "root:root 4755" "root:shadow 2755" verified
}
apt_removes() {
	local said
	said=$(in_debian 'hello; apt-get -q -y remove hello; SUDO_FORCE_REMOVE=yes apt-get -q -y purge sudo; hello 2>&1 || echo "hello is gone"; dpkg --audit; dpkg -l | grep -c ^ii')
	lines "$said" "Hello, world!" "Removing hello" "hello is gone"
}
users() {
	local said
	said=$(in_debian 'useradd -m jane; su - jane -c "id -un; pwd; touch ~/f; stat -c %U ~/f"; sudo -V >/dev/null 2>&1 || true; su nobody -s /bin/sh -c "cat /etc/shadow" 2>&1 || echo "shadow is closed"; userdel -r jane 2>/dev/null')
	lines "$said" jane /home/jane "Permission denied" "shadow is closed"
}
lower_unchanged() {
	[ ! -e "$work/debian/root/usr/bin/hello" ] && [ ! -e "$work/debian/root/etc/sudoers" ] && ! grep -q jane "$work/debian/root/etc/passwd"
}
if debian_here >"$work/log" 2>&1; then
	tried=1
	mkdir "$work/empty" "$work/debian"
	trap debian_gone EXIT
	fact "mmdebstrap makes a Debian root in a box" again debian_made
	if [ $failures = 0 ]; then
		fact "apt-get update, as apt's own user" again apt_updates
		fact "apt-get install: two packages, one with set-user-id" again apt_installs
		fact "apt-get remove and purge" apt_removes
		fact "useradd, su" users
		fact "the root below is as it was" lower_unchanged
	fi
else
	echo "skip Debian: $(tail -n 1 "$work/log")"
fi
[ $tried = 1 ] || skip "no registry to be had"
over
