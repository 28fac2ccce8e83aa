# shellcheck shell=bash
# What scripts/test and scripts/quickstart share: speaking, and bringing a checkout to the point where its
# programs run. Sourced, not run. Expects `root` to be the checkout's folder and `program` the caller's name.

root=${root:?set by the script that sources this file}
program=${program:?set by the script that sources this file}

# The oldest Node that has what the daemon uses; the same number stands in package.json under "engines".
NODE_VERSION_MIN=20.15.0

say() {
  printf '%s: %s\n' "$program" "$*"
}

fail() {
  printf '%s: %s\n' "$program" "$*" >&2
  exit 1
}

require_node() {
  local version
  command -v node >/dev/null ||
    fail "node is not installed; install Node $NODE_VERSION_MIN or newer"
  version=$(node --version)
  if [ "$(printf '%s\n' "$NODE_VERSION_MIN" "${version#v}" | sort -V | head -n 1)" != "$NODE_VERSION_MIN" ]; then
    fail "Node $version is too old; install Node $NODE_VERSION_MIN or newer"
  fi
  command -v npm >/dev/null || fail "npm is not installed; it comes with Node"
}

# Installs the npm packages of the lock file, unless they are there and not older than it.
ensure_node_packages() {
  local record=$root/node_modules/.package-lock.json
  if [ -e "$record" ] && [ ! "$root/package-lock.json" -nt "$record" ]; then
    return
  fi
  say "installing npm packages"
  mkdir -p "$root/tmp"
  # Two scripts that start together must not both empty node_modules.
  (
    flock 9
    cd "$root" || exit
    if [ ! -e "$record" ] || [ package-lock.json -nt "$record" ]; then
      npm ci --include=dev --no-audit --no-fund --no-update-notifier --loglevel=error
    fi
  ) 9>"$root/tmp/install.lock"
}

build_checkout() {
  (cd "$root" && npm run --silent build)
}
