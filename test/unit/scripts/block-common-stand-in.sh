#!/bin/bash
# What Xen's block-common.sh offers to hotplug scripts, as far as scripts/xen/block-blkferry uses it, for
# machines without Xen. The names and what they do are those of Xen's docs/misc/block-scripts.txt and of
# its tools/hotplug/Linux; block-blkferry.test.ts runs the same tests with Xen's own files where they are.
# Sourced by the script under test; hotplugpath.sh beside it names the folders.
set -e
# shellcheck source=/dev/null
. "$(dirname "$0")/hotplugpath.sh"
exec 2>>"$BENCH_LOG"
# shellcheck disable=SC2154 # of hotplugpath.sh
export PATH="$bindir:/usr/bin:/bin:/usr/sbin:/sbin"
export command=$1
: "${XENBUS_PATH:?}"

log() {
  local level=$1
  shift
  logger -p "daemon.$level" -- "$0:" "$@"
}

fatal() {
  xenstore-write "$XENBUS_PATH/hotplug-error" "$*" "$XENBUS_PATH/hotplug-status" error
  log err "$@"
  exit 1
}

trap 'fatal "$0 failed; error detected."' ERR

xenstore_read_default() {
  xenstore-read "$1" 2>/dev/null || echo "$2"
}

xenstore_write() {
  xenstore-write "$@" || fatal "Writing $* to xenstore failed."
}

device_major_minor() {
  stat -L -c %t:%T "$1"
}

write_dev() {
  xenstore_write "$XENBUS_PATH/physical-device" "$(device_major_minor "$1")"
  xenstore_write "$XENBUS_PATH/physical-device-path" "$1"
  xenstore_write "$XENBUS_PATH/hotplug-status" connected
}

canonicalise_mode() {
  case $1 in
    *w*!* | *!*w*) echo '!' ;;
    *w*) echo w ;;
    *) echo r ;;
  esac
}

same_vm() {
  [ "$(xenstore_read_default "/local/domain/$1/vm" "$FRONTEND_UUID")" = "$FRONTEND_UUID" ]
}

claim_lock() {
  exec 200<>"$LOCK_FOLDER/$1"
  flock -x 200
}

release_lock() {
  exec 200<&-
}
