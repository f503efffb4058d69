# Sourced by the scripts that unpack Debian packages and install none.
#
# apt works on a state of its own in which nothing is installed, so the system's is left alone, and no root is needed.
# The mirror is the one this system's apt uses; set DEBIAN_MIRROR where that one carries no Debian.
# STATE is the absolute path of a directory that the caller removes. Each of these functions fails by its status,
# with the reason on stderr.
# shellcheck shell=sh

debian_keyring=/usr/share/keyrings/debian-archive-keyring.gpg
debian_mirror=${DEBIAN_MIRROR:-$(apt-get --print-uris update 2>/dev/null |
    sed -n "s|^'\(.*/debian\)/dists/.*|\1|p" | head -n 1)}
debian_architecture=$(dpkg --print-architecture 2>/dev/null || true)

# debian_missing: prints why no package can be fetched; fails when packages can be.
debian_missing() {
    if [ -z "$debian_mirror" ]; then
        echo "apt's sources name no Debian mirror: set DEBIAN_MIRROR"
    elif [ ! -e "$debian_keyring" ]; then
        echo "$debian_keyring is missing: install debian-archive-keyring"
    else
        return 1
    fi
}

# debian_apt STATE COMMAND ARG...: an apt command with sources, lists, cache and package status below STATE.
debian_apt() {
    debian_state=$1
    debian_command=$2
    shift 2
    "$debian_command" -o Dir::Etc::SourceList="$debian_state/sources.list" -o Dir::Etc::SourceParts=/dev/null \
        -o Dir::Etc::PreferencesParts=/dev/null -o Dir::State="$debian_state" \
        -o Dir::State::Lists="$debian_state/lists" -o Dir::State::status="$debian_state/status" \
        -o Dir::Cache="$debian_state/cache" -o APT::Sandbox::User=root -o Acquire::Languages=none \
        -o APT::Architecture="$debian_architecture" -o APT::Architectures::="$debian_architecture" \
        -o Acquire::Retries=1 -o Acquire::http::Timeout=20 -o Acquire::https::Timeout=20 "$@"
}

# debian_suite STATE SUITE: makes STATE anew and fetches the suite's lists into it. For apt an unreachable mirror is
# only a warning: the download fails instead. A mirror named in DEBIAN_MIRROR may be a snapshot, whose lists have
# expired.
debian_suite() {
    rm -rf "$1"
    mkdir -p "$1/lists/partial" "$1/cache/archives/partial"
    echo "deb [signed-by=$debian_keyring${DEBIAN_MIRROR:+ check-valid-until=no}] $debian_mirror $2 main" >"$1/sources.list"
    : >"$1/status"
    debian_apt "$1" apt-get -qq update
}

# debian_closure STATE PACKAGE...: prints the packages and all their dependencies.
debian_closure() {
    debian_state=$1
    shift
    debian_apt "$debian_state" apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts \
        --no-breaks --no-replaces --no-enhances "$@" | grep '^[a-z]' | grep -v : | sort -u
}

# debian_unpack STATE ROOT PACKAGE...: downloads them and unpacks them below ROOT; STATE/packages lists the versions.
debian_unpack() {
    debian_state=$1
    debian_root=$2
    shift 2
    rm -rf "$debian_state/debs"
    mkdir -p "$debian_state/debs" "$debian_root"
    (cd "$debian_state/debs" && debian_apt "$debian_state" apt-get -qq download "$@") || return 1
    for debian_deb in "$debian_state"/debs/*.deb; do
        dpkg-deb -x "$debian_deb" "$debian_root" || return 1
        # shellcheck disable=SC2016  # dpkg-deb's own placeholders
        dpkg-deb --show --showformat='${Package} ${Version}\n' "$debian_deb" || return 1
    done >"$debian_state/packages"
    rm -rf "$debian_state/debs"
}
