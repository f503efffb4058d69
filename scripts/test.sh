#!/usr/bin/env bash
# Every test of every ring but the virtual machine's. The binaries are built before, as the calling user;
# most tests need root.
#
#   scripts/test.sh                  all of them
#   scripts/test.sh inner            all but the end-to-end tests: pure, an engine alone, the box
#   scripts/test.sh e2e [WORD...]    the end-to-end tests, those that the words select: see test/e2e. First installs Dapr's
#                                    SDKs and builds the examples, as the calling user
set -euo pipefail
cd "$(dirname "$0")/.."
root=(); [ "$(id -u)" = 0 ] || root=(sudo -E env "PATH=$PATH")

# By name, to exclude e2e; test/tidy checks that none is left out.
inner() {
  "${root[@]}" cargo test --release --workspace --lib --bins --test tidy --test conformance --test boxes \
    --test connections --test requests --test egress --test lookup --test replay
}

e2e() {
  scripts/dapr-sdks.sh
  scripts/examples.sh
  "${root[@]}" cargo test --release --workspace --test e2e -- "$@"
}

case ${1:-} in
'') inner; e2e ;;
inner) inner ;;
e2e) e2e "${@:2}" ;;
*) echo "scripts/test.sh: there is no ring $1; inner or e2e" >&2; exit 1 ;;
esac
