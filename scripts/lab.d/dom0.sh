# shellcheck shell=bash
# Xen's toolstack in Dom0, without an init system: what Debian's xen service does, as far as guests with disks
# need it. Sourced, not run, by lab.d/inside.

DOM0_MODULES='xen_evtchn xen_gntdev xen_gntalloc xen_privcmd xen_blkback'

# Each guest's console is kept here, as guest-NAME.log.
CONSOLE_FOLDER=/var/log/xen/console

# Of processor time; a guest has 256.
DOM0_WEIGHT=4096

start_toolstack() {
  local tools
  # shellcheck disable=SC2086 # a list of words
  modprobe -a $DOM0_MODULES
  mount -t xenfs xenfs /proc/xen
  tools=(/usr/lib/xen-4.*/bin)
  mkdir -p /run/xen /run/xenstored /run/lock/xl "$CONSOLE_FOLDER" /var/lib/xen /var/lib/xenstored
  "$(first_program "${tools[0]}/xenstored" /usr/sbin/xenstored "${tools[0]}/oxenstored")"
  await 'xenstored' xenstore-exists /
  "$(first_program "${tools[0]}/xen-init-dom0" /usr/lib/xen/bin/xen-init-dom0)"
  "$(first_program "${tools[0]}/xenconsoled" /usr/sbin/xenconsoled)" \
    --log=guest --log-dir="$CONSOLE_FOLDER" --pid-file=/run/xenconsoled.pid
  # There is one processor. Hotplug scripts have 40 s, also beside guests that are busy.
  xl sched-credit2 --domain=Domain-0 --weight=$DOM0_WEIGHT
}

first_program() {
  local file
  for file; do
    if [ -x "$file" ]; then
      printf '%s\n' "$file"
      return
    fi
  done
  printf 'lab: none of these is there: %s\n' "$*" >/dev/console
  return 1
}
