# shellcheck shell=bash
# The first files of a machine: busybox, the modules that reach this machine's files, an init, and what this run
# wants. Everything else comes from the root that lab.d/init puts together. Sourced, not run, by lab.d/machine.sh.

root=${root:?set by the script that sources this file}

# make_initramfs FILE PIECES SETTINGS: FILE, with the file SETTINGS as /settings.
make_initramfs() {
  local folder=$1.d pieces=$2 settings=$3 name
  mkdir -p "$folder"/{bin,dev,proc,sys,new,hold,lower}
  cp "$pieces/tree/usr/bin/busybox" "$folder/bin/"
  for name in sh mount mkdir insmod switch_root poweroff cat; do
    ln -s busybox "$folder/bin/$name"
  done
  cp -r "$pieces/modules" "$folder/modules"
  cp "$settings" "$folder/settings"
  install -m 755 "$root/scripts/lab.d/init" "$folder/init"
  (cd "$folder" && find . | cpio --quiet -o -H newc) >"$1"
  rm -r "$folder"
}
