#!/bin/sh
# Rebuilds the committed files of test/guests/opa, of all policies or the named ones.
#
#   scripts/opac.sh DIR                     once
#   GUEST_OPAC=DIR scripts/guest-policies.sh [NAME...]
#
# DIR defaults to .cache/opac. A policy is NAME.rego with the files in NAME/; its first lines list its entrypoints.
# Built from it are NAME.wasm, the bundle NAME.tar.gz if there is a NAME/data.json, and the answers in
# NAME.expected.json: those of OPA's own interpreter to the questions in that file.
set -eu

repo=$(cd "$(dirname "$0")/.." && pwd)
tools=$(cd "${GUEST_OPAC:-$repo/.cache/opac}" && pwd) ||
    { echo "$0: run scripts/opac.sh first" >&2; exit 1; }
bundle=$(mktemp -d)
trap 'rm -rf "$bundle"' EXIT

cd "$repo/test/guests/opa"
[ $# -gt 0 ] || set -- *.rego
for name; do
    name=${name%.rego}
    sources=$name.rego
    [ -d "$name" ] && sources="$sources $(echo "$name"/*)"
    entrypoints=$(sed -n 's/^# entrypoints: //p' "$name.rego" | sed 's/[^ ][^ ]*/-e &/g')
    print=$(sed -n 's/^# keeps print$/-print/p' "$name.rego")
    serve=
    [ "$name" = send ] && serve="-s 127.0.0.1:18282"

    # shellcheck disable=SC2086  # lists of words
    "$tools/opac" compile $print $entrypoints -o "$bundle/bundle.tar.gz" $sources
    tar -xOzf "$bundle/bundle.tar.gz" /policy.wasm >"$bundle/policy.wasm"
    # Not the bundle's own permissions: the file is data.
    install -m 644 "$bundle/policy.wasm" "$name.wasm"
    [ -e "$name/data.json" ] && install -m 644 "$bundle/bundle.tar.gz" "$name.tar.gz"
    # shellcheck disable=SC2086
    "$tools/opac" answer $serve -c "$name.expected.json" $sources >"$bundle/expected.json"
    install -m 644 "$bundle/expected.json" "$name.expected.json"
    echo "$name.wasm $(wc -c <"$name.wasm")"
done
