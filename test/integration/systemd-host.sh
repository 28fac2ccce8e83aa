#!/usr/bin/env bash
# A small machine for tests: systemd as process 1 in namespaces of its own, over this machine's files and those
# of an installation. Nothing it writes is left, except in FOLDER. Needs root with CAP_SYS_ADMIN.
#
# usage: test/integration/systemd-host.sh DESTDIR FOLDER [--share-network]
#
#   DESTDIR   what scripts/install --destdir made
#   FOLDER    of the test's: FOLDER/units holds every unit that this machine knows; FOLDER/scratch is made
#   --share-network  that of this machine; the kernel configures NBD devices from its first network only
#
# Prints `ready PID`, the process id of that systemd as seen from here, and ends with it. Or prints
# `cannot: REASON`: then such a machine cannot be had here.
set -euo pipefail

READY_SECONDS_MAX=20
END_SECONDS_MAX=15

main() {
  local destdir=$1 folder=$2 network=(--net) pid deadline
  if [ "${3:-}" = --share-network ]; then
    network=()
  fi
  mkdir -p "$folder/scratch"
  trap 'stop; exit 0' TERM INT
  trap stop EXIT
  enter_control_group
  unshare --mount --pid --fork --uts --ipc "${network[@]}" --cgroup --kill-child=SIGKILL \
    "$0" inside "$destdir" "$folder" </dev/null 2>"$folder/problem" >&2 &
  child=$!
  deadline=$((SECONDS + READY_SECONDS_MAX))
  until pid=$(pgrep --parent "$child") && nsenter --target "$pid" --mount test -S /run/systemd/private; do
    if ! kill -0 "$child" 2>/dev/null || [ "$SECONDS" -ge "$deadline" ]; then
      printf 'cannot: %s\n' "$(tail -n 1 "$folder/problem")"
      exit 0
    fi
    sleep 0.05
  done
  printf 'ready %s\n' "$pid"
  wait "$child" || true
}

child=
groups=()

# systemd makes control groups below the one it finds itself in. That is one of ours, in each hierarchy.
enter_control_group() {
  local hierarchy
  for hierarchy in /sys/fs/cgroup /sys/fs/cgroup/systemd /sys/fs/cgroup/unified; do
    if [ -e "$hierarchy/cgroup.procs" ] && mkdir "$hierarchy/blkferry-test.$$" 2>/dev/null; then
      groups+=("$hierarchy/blkferry-test.$$")
      echo $$ >"$hierarchy/blkferry-test.$$/cgroup.procs"
    fi
  done
}

stop() {
  local group deadline
  trap - TERM INT EXIT
  if [ -n "$child" ]; then
    # unshare's death is that of its process 1, and that the end of all the others.
    kill -KILL "$child" 2>/dev/null || true
    wait "$child" 2>/dev/null || true
  fi
  for group in "${groups[@]}"; do
    echo $$ >"$(dirname "$group")/cgroup.procs" || true
    # The kernel takes a moment to end so many processes, a busy machine seconds.
    deadline=$((SECONDS + END_SECONDS_MAX))
    until find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || [ "$SECONDS" -ge "$deadline" ]; do
      sleep 0.1
    done
  done
}

# Runs as process 1 of the new machine.
inside() {
  local destdir=$1 folder=$2 scratch=$2/scratch part
  mount --make-rprivate /
  mount -t proc proc /proc
  mount -t tmpfs tmpfs "$scratch"
  mkdir "$destdir/var" 2>/dev/null || true
  for part in usr etc var; do
    mkdir "$scratch/$part" "$scratch/$part.work"
    mount -t overlay overlay "/$part" \
      -o "lowerdir=$destdir/$part:/$part,upperdir=$scratch/$part,workdir=$scratch/$part.work"
  done
  mount --bind "$folder/units" /usr/lib/systemd/system
  rm -rf /etc/systemd/system/* /var/lib/blkferry
  systemd-sysusers /usr/lib/sysusers.d/blkferry.conf
  mount -t tmpfs -o mode=755 tmpfs /run
  mount_control_groups
  mount -t tmpfs tmpfs /tmp
  # systemd then leaves clock, modules and the rest of the hardware alone.
  export container=test
  exec /lib/systemd/systemd --system --unit=basic.target --log-level=warning --show-status=0
}

mount_control_groups() {
  if [ "$(stat --file-system --format=%T /sys/fs/cgroup)" = cgroup2fs ]; then
    umount --lazy /sys/fs/cgroup
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
    return
  fi
  mount -t tmpfs tmpfs /sys/fs/cgroup
  mkdir /sys/fs/cgroup/systemd /sys/fs/cgroup/unified
  mount -t cgroup -o none,name=systemd cgroup /sys/fs/cgroup/systemd
  mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified || rmdir /sys/fs/cgroup/unified
}

if [ "$1" = inside ]; then
  shift
  inside "$@"
else
  main "$@"
fi
