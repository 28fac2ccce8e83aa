# shellcheck shell=bash
# QEMU's arguments for a run. The flags were found by trying: each comment says what goes wrong without. Sourced,
# not run, by lab.d/machine.sh.

# The run, from the options of scripts/lab.
kind=
megabytes=
network=no
kernel_log=
shares=()
disks=()
is_interactive=no

# Folders: of the pieces, and of this run.
pieces_vm=
pieces_xen=
run_folder=

# Appends QEMU's arguments to `words`.
machine_words() {
  # Only these virtio devices work where Xen stands between them and Dom0.
  local index modern=
  [ "$kind" = vm ] || modern=,disable-legacy=on,iommu_platform=on
  words+=(-nodefaults -no-user-config -no-reboot -display none -machine q35 -m "$megabytes")
  words+=(-accel 'tcg,thread=multi,tb-size=512' -serial "file:${kernel_log//,/,,}")
  words+=(-device "virtio-rng-pci$modern" -device "virtio-serial-pci$modern")
  port_words status 5
  port_words stdout 6
  port_words stderr 7
  folder_words host / ,readonly=on
  folder_words vm "$pieces_vm/tree" ,readonly=on
  folder_words exchange "$run_folder/exchange" ,readonly=on
  for index in "${!shares[@]}"; do
    folder_words "share$index" "${shares[index]}"
  done
  for index in "${!disks[@]}"; do
    words+=(-drive "if=none,id=disk$index,format=raw,discard=unmap,file=${disks[index]//,/,,}")
    words+=(-device "virtio-blk-pci,drive=disk$index,serial=disk$index$modern")
  done
  if [ "$network" = yes ]; then
    words+=(-netdev 'user,id=net' -device "virtio-net-pci,netdev=net,romfile=$modern")
  fi
  if [ "$is_interactive" = yes ]; then
    words+=(-chardev 'stdio,id=terminal,signal=off' -serial chardev:terminal)
  fi
  "${kind}_words"
}

# A channel of virtio's, which is faster than a serial line and leaves bytes as they are.
port_words() {
  words+=(-add-fd "fd=$2,set=$2" -chardev "file,id=$1,path=/dev/fdset/$2,append=on")
  words+=(-device "virtserialport,chardev=$1,name=$1")
}

# folder_words TAG FOLDER [,OPTIONS]: owners are kept if we may.
folder_words() {
  local model=none
  [ "$(id -u)" != 0 ] || model=passthrough
  words+=(-fsdev "local,id=$1,path=${2//,/,,},security_model=$model,multidevs=remap${3:-}")
  words+=(-device "virtio-9p-pci,fsdev=$1,mount_tag=$1$modern")
}

vm_words() {
  words+=(-cpu max -smp 2 -kernel "$pieces_vm/vmlinuz" -initrd "$run_folder/initramfs")
  words+=(-append 'console=ttyS0 mitigations=off nokaslr panic=-1')
}

# This processor, and one of it: with more, Dom0 crashes in this emulator, or guests do, or they hang.
xen_words() {
  local dom0=$((megabytes / 2))
  folder_words xen "$pieces_xen/tree" ,readonly=on
  words+=(-cpu 'qemu64,+svm,+npt,+ssse3,+sse4.1,+sse4.2,+popcnt' -smp 1 -kernel "$pieces_xen/xen.elf")
  words+=(-append "console=com1 com1=115200 dom0_mem=${dom0}M,max:${dom0}M reboot=acpi watchdog=0")
  words+=(-initrd "$pieces_vm/vmlinuz console=hvc0 panic=-1,$run_folder/initramfs")
}

# make_disks: `disks` names files afterwards; those of a size are of this run.
make_disks() {
  local index
  for index in "${!disks[@]}"; do
    if [ -f "${disks[index]}" ]; then
      disks[index]=$(realpath "${disks[index]}")
      continue
    fi
    truncate -s "${disks[index]}" "$run_folder/disk$index"
    disks[index]=$run_folder/disk$index
  done
}
