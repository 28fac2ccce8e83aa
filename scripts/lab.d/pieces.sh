# shellcheck shell=bash
# Where the lab's pieces are: a kernel, Xen and its tools, as lab.d/make-pieces has unpacked them. Once there, no
# network is needed. Sourced, not run, by scripts/lab and lab.d/make-pieces.

# In the folders' names: one more when what belongs into them changes.
PIECES_REVISION=1

lab_cache=${BLKFERRY_LAB_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/blkferry/lab}

# pieces_folder vm|xen VERSION
pieces_folder() {
  printf '%s/%s-%s-r%s\n' "$lab_cache" "$1" "$2" "$PIECES_REVISION"
}

# newest_pieces vm|xen: the folder, or nothing.
newest_pieces() {
  local folders
  mapfile -t folders < <(compgen -G "$(pieces_folder "$1" '*')" | sort -V)
  [ ${#folders[@]} -eq 0 ] || printf '%s\n' "${folders[-1]}"
}
