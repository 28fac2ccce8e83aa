# shellcheck shell=bash
# Programs in the background with pid files that cannot point at somebody else's process: a pid file holds the
# process id and when that process started, and both must still agree before a signal is sent. Sourced, not
# run, after checkout.sh.

# Both programs are ready within a second or two; a machine that swaps needs more.
READY_SECONDS_MAX=60
# The programs end by themselves after their shutdown_timeout, 20 and 10 seconds; some more for the disk.
STOP_SECONDS_MAX=40

# start_time PID: when the process started, in clock ticks since boot. Fails if there is none.
start_time() {
  local text fields
  text=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
  # The second field is the program's name in parentheses and may hold blanks and parentheses itself.
  read -ra fields <<<"${text##*) }"
  # A zombie has ended already: only its parent has not looked yet.
  [ "${fields[0]}" != Z ] || return 1
  printf '%s\n' "${fields[19]}"
}

# running_pid PID_FILE: the process id, if the process that the file names still runs. Fails if not.
running_pid() {
  local pid started
  [ -e "$1" ] || return 1
  read -r pid started <"$1" || return 1
  [ "$(start_time "$pid")" = "$started" ] || return 1
  printf '%s\n' "$pid"
}

# start_program NAME DIRECTORY COMMAND...: starts it and waits for its line `NAME ready: ...`, which is on its
# standard output in DIRECTORY/NAME.out. The log is DIRECTORY/NAME.log.
start_program() {
  local name=$1 directory=$2 pid deadline
  shift 2
  setsid "$@" </dev/null >"$directory/$name.out" 2>>"$directory/$name.log" 9>&- &
  pid=$!
  printf '%s %s\n' "$pid" "$(start_time "$pid" || echo gone)" >"$directory/$name.pid"
  deadline=$((SECONDS + READY_SECONDS_MAX))
  until grep -qs "^$name ready:" "$directory/$name.out"; do
    if ! running_pid "$directory/$name.pid" >/dev/null; then
      tail -n 5 "$directory/$name.log" >&2
      fail "$name ended before it was ready; its log is $directory/$name.log"
    fi
    if [ "$SECONDS" -ge "$deadline" ]; then
      fail "$name is not ready after $READY_SECONDS_MAX seconds; its log is $directory/$name.log"
    fi
    sleep 0.1
  done
}

# stop_program NAME DIRECTORY: asks it to stop in order and waits until it has. Says so if it does not run.
stop_program() {
  local name=$1 directory=$2 pid deadline
  if ! pid=$(running_pid "$directory/$name.pid"); then
    say "$name is not running"
    rm -f "$directory/$name.pid"
    return
  fi
  kill -TERM "$pid"
  deadline=$((SECONDS + STOP_SECONDS_MAX))
  while running_pid "$directory/$name.pid" >/dev/null; do
    if [ "$SECONDS" -ge "$deadline" ]; then
      fail "$name (process $pid) has not stopped after $STOP_SECONDS_MAX seconds; its log is $directory/$name.log"
    fi
    sleep 0.1
  done
  rm -f "$directory/$name.pid"
  say "$name has stopped"
}
