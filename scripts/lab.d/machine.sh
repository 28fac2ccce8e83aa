# shellcheck shell=bash
# One run of an emulated machine: QEMU is started, the command's output is passed on while it comes, the exit
# status is waited for, and QEMU is gone when this ends, however it ends. Its arguments are the business of
# lab.d/qemu-words.sh. Sourced, not run, by scripts/lab, which sets what the run is to be.

root=${root:?set by the script that sources this file}
# shellcheck source=scripts/lab.d/pieces.sh
. "$root/scripts/lab.d/pieces.sh"
# shellcheck source=scripts/lab.d/initramfs.sh
. "$root/scripts/lab.d/initramfs.sh"
# shellcheck source=scripts/lab.d/qemu-words.sh
. "$root/scripts/lab.d/qemu-words.sh"

EXIT_TIME_OVER=124

# Between the command's end and the machine's.
POWER_OFF_SECONDS_MAX=20
# Kernel logs that are kept in the cache; the oldest goes when another comes.
KERNEL_LOGS_MAX=20
# What is shown of one when the machine failed.
KERNEL_LOG_LINES_SHOWN=25

# What the command may need from the caller's environment; see the usage of scripts/lab.
KEPT_VARIABLES='^(PATH|HOME|LANG|LC_[A-Z]+|TERM|TZ|CI|NODE_[A-Z_]+|BLKFERRY_[A-Z_]+)$'
# Tests wait that many times as long as on an ordinary machine; ordered by nobody else, it is set inside.
TEST_PATIENCE=6

# The run, from the options of scripts/lab.
timeout_seconds=
kept_variables=()
udev_rules=()
command=()

# What belongs to the run while it lasts.
status=
machine_pid=
terminal_settings=

run_machine() {
  trap end_machine EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
  run_folder=$(mktemp -d "${TMPDIR:-/tmp}/blkferry-lab.XXXXXX")
  choose_kernel_log
  mkdir "$run_folder/exchange"
  write_command >"$run_folder/exchange/command"
  write_settings >"$run_folder/settings"
  make_initramfs "$run_folder/initramfs" "$pieces_vm" "$run_folder/settings"
  make_disks
  open_outputs
  start_machine
  await_status
  await_end
  close_outputs
  case $status in
    '') report_failure ;;
    over) report_time_over ;;
    *) exit "$status" ;;
  esac
}

choose_kernel_log() {
  local old
  if [ -n "$kernel_log" ]; then
    kernel_log=$(realpath "$kernel_log")
    return
  fi
  mkdir -p "$lab_cache/logs"
  # Their names are ours, and begin with the time.
  find "$lab_cache/logs" -name '*.log' | sort -r | tail -n "+$KERNEL_LOGS_MAX" | while read -r old; do
    rm -f "$old"
  done
  kernel_log=$lab_cache/logs/$(date +%Y%m%d-%H%M%S)-$kind-$$.log
}

# The command as a script of its own, with the variables it is to have.
write_command() {
  local name
  printf 'cd %s\n' "$(quoted "$PWD")"
  while read -r name; do
    if [[ $name =~ $KEPT_VARIABLES || " ${kept_variables[*]} " = *" $name "* ]]; then
      printf 'export %s=%s\n' "$name" "$(quoted "${!name}")"
    fi
  done < <(compgen -e)
  printf 'export BLKFERRY_TEST_PATIENCE=%s\n' "${BLKFERRY_TEST_PATIENCE:-$TEST_PATIENCE}"
  # shellcheck disable=SC2016 # expanded inside
  printf 'export PATH=%s:$PATH\n' "$(quoted "$root/scripts/lab.d/bin")"
  if [ ${#command[@]} -gt 0 ]; then
    printf 'exec %s\n' "$(quoted "${command[@]}")"
  else
    printf 'stty rows %s cols %s\n' "${LINES:-$(tput lines)}" "${COLUMNS:-$(tput cols)}"
    printf 'exec bash -i\n'
  fi
}

# What the programs inside are told, as shell variables. Lists are words quoted for a shell.
write_settings() {
  local layers=vm held=() folder rules=("${udev_rules[@]}")
  if [ "$kind" = xen ]; then layers='xen vm'; fi
  for folder in "$root" "$PWD" "${rules[@]}"; do
    case $folder in
      /tmp/* | /run/* | /dev/shm/*)
        if [ -d "$folder" ]; then held+=("$folder"); else held+=("$(dirname "$folder")"); fi
        ;;
    esac
  done
  printf 'KIND=%s\n' "$kind"
  printf 'ROOT_LAYERS=%s\n' "$(quoted "$layers host")"
  printf 'CHECKOUT=%s\n' "$(quoted "$root")"
  printf 'HELD=%s\n' "$(quoted "$(quoted "${held[@]}")")"
  printf 'SHARES=%s\n' "$(quoted "$(quoted "${shares[@]}")")"
  printf 'UDEV_RULES=%s\n' "$(quoted "$(quoted "${rules[@]}")")"
  printf 'NETWORK=%s\n' "$network"
  printf 'DISKS=%s\n' "${#disks[@]}"
  if [ ${#command[@]} -gt 0 ]; then printf 'TERMINAL=no\n'; else printf 'TERMINAL=yes\n'; fi
}

# quoted WORD...: for the shells of both sides; busybox does not know all of what %q writes.
quoted() {
  local word separator=
  for word in "$@"; do
    printf "%s'%s'" "$separator" "${word//\'/\'\\\'\'}"
    separator=' '
  done
}

# QEMU writes to pipes, and programs of ours from there: it takes only what was opened for writing alone.
open_outputs() {
  mkfifo "$run_folder/stdout" "$run_folder/stderr"
  cat <"$run_folder/stdout" &
  stdout_pid=$!
  cat <"$run_folder/stderr" >&2 &
  stderr_pid=$!
  exec {stdout_fd}>"$run_folder/stdout" {stderr_fd}>"$run_folder/stderr"
}

close_outputs() {
  exec {stdout_fd}>&- {stderr_fd}>&-
  wait "$stdout_pid" "$stderr_pid" || true
}

# Sets machine_pid, and status_fd: what the machine says about the command's end; it ends with the machine.
start_machine() {
  local words=()
  machine_words
  if [ ${#command[@]} -eq 0 ]; then
    terminal_settings=$(stty -g)
    exec {terminal_in}<&0 {terminal_out}>&1
    # shellcheck disable=SC2094 # QEMU's messages only
    exec {status_fd}< <(
      exec 5>&1 6>&"$stdout_fd" 7>&"$stderr_fd" <&"$terminal_in" >&"$terminal_out" 2>"$run_folder/qemu.log"
      exec setpriv --pdeathsig KILL qemu-system-x86_64 "${words[@]}"
    )
  else
    exec {status_fd}< <(
      exec 5>&1 6>&"$stdout_fd" 7>&"$stderr_fd" </dev/null >"$run_folder/qemu.log" 2>&1
      exec setpriv --pdeathsig KILL qemu-system-x86_64 "${words[@]}"
    )
  fi
  machine_pid=$!
}

# Sets `status` to the command's exit status; to `over` when the time is; to nothing when the machine ended.
await_status() {
  local result=0
  read -r -t "$timeout_seconds" -u "$status_fd" status || result=$?
  if [ "$result" -gt 128 ]; then
    status=over
  fi
}

# The machine switches itself off; one that does not, or whose time is over, is ended.
await_end() {
  if [ "$status" != over ]; then
    read -r -t "$POWER_OFF_SECONDS_MAX" -u "$status_fd" _ || true
  fi
  kill_machine
}

kill_machine() {
  if [ -n "$machine_pid" ]; then
    kill -KILL "$machine_pid" 2>/dev/null || true
    wait "$machine_pid" 2>/dev/null || true
    machine_pid=
  fi
}

# Whatever happened: nothing of the run is left but the kernel's log.
end_machine() {
  kill_machine
  if [ -n "$terminal_settings" ]; then
    stty "$terminal_settings"
  fi
  if [ -n "$run_folder" ]; then
    rm -rf "$run_folder"
  fi
}

report_time_over() {
  show_kernel_log
  say "the time limit of $timeout_seconds seconds is over, and the machine was ended; --timeout sets another"
  exit "$EXIT_TIME_OVER"
}

report_failure() {
  show_kernel_log
  if [ -s "$run_folder/qemu.log" ]; then
    tail -n 5 "$run_folder/qemu.log" >&2
    fail "QEMU failed; see the lines above"
  fi
  fail "the machine ended before the command did: a crash, or it was switched off; see the kernel's lines above"
}

show_kernel_log() {
  if [ -s "$kernel_log" ]; then
    tail -n "$KERNEL_LOG_LINES_SHOWN" "$kernel_log" | tr -d '\r' >&2
    say "the kernel's log ends with the lines above; the whole of it is $kernel_log"
  else
    say "the kernel had not said anything yet; its log is $kernel_log"
  fi
}
