# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# For scripts that unpack Debian packages beside the system, without root and without installing
# anything. A script sets
#
#   usage         what --help prints
#   what          what it unpacks, in a word
#   default       the directory's name among the caches
#   architecture  what the packages are for
#   suites        of Debian, that they come from
#
# and defines
#
#   recipe            what a complete directory says of itself; another list makes it incomplete
#   wanted            the packages, one a line; it can ask apt_
#   finish DIRECTORY  makes what was unpacked in $fresh fit to be used in DIRECTORY
#
# and calls main.
# shellcheck disable=SC2154 # set by the script

keyring=/usr/share/keyrings/debian-archive-keyring.gpg
self=$(basename "$0")

say() {
    echo "$self: $*" >&2
}

fail() {
    say "$*"
    exit 1
}

# XDG says that a relative path is to be ignored.
cache_root() {
    local root=${XDG_CACHE_HOME:-}
    [[ $root == /* ]] || root=$HOME/.cache
    echo "$root/npuenc"
}

is_complete() {
    [[ -f $1/complete ]] && [[ $(<"$1/complete") == "$(recipe)" ]]
}

# The address of the Debian archive among apt's sources.
mirror() {
    # shellcheck disable=SC2016 # the names are apt's
    apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
        grep -m 1 -E '/debian/?$' || fail "apt on this system has no source that is a Debian archive"
}

# Calls an apt command that sees the mirror's suites and nothing of this system.
apt_() {
    local command=$1
    shift
    "$command" -q -q --config-file "$work/apt.conf" "$@"
}

configure_apt() {
    local source
    source="[signed-by=$keyring] $(mirror)"
    mkdir -p "$work"/{lists,cache/archives}/partial
    printf 'deb %s main\n' "${suites[@]/#/$source }" >"$work/sources.list"
    touch "$work/status"
    # A system's own hooks and preferences are for its own packages.
    cat >"$work/apt.conf" <<EOF
APT::Architecture "$architecture";
#clear APT::Architectures;
Dir::Etc::sourcelist "$work/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::State::lists "$work/lists";
Dir::State::status "$work/status";
Dir::Cache "$work/cache";
Acquire::Languages "none";
APT::Sandbox::User "$(id -un)";
APT::Default-Release "";
APT::Update::Error-Mode "any";
APT::Get::AllowUnauthenticated "false";
Acquire::AllowInsecureRepositories "false";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
EOF
}

download() {
    local names debs
    apt_ apt-get update >"$work/log" 2>&1 || return 1
    names=$(wanted 2>"$work/log") || return 1
    mapfile -t debs <<<"$names"
    (cd "$work/cache/archives" && apt_ apt-get download "${debs[@]}") >"$work/log" 2>&1
}

make() {
    local directory=$1 package
    [[ $(dpkg --print-architecture 2>/dev/null) == amd64 ]] ||
        fail "this wants a Debian system for amd64"
    [[ -r $keyring ]] ||
        fail "Debian's keys are missing: run \`apt-get install debian-archive-keyring\`"
    fresh=$directory.partial
    work=$fresh/apt
    rm -rf "$fresh"
    mkdir -p "$fresh"
    configure_apt
    say "downloading Debian packages of ${suites[*]}"
    if ! download; then
        local reason
        reason=$(grep -m 1 '^[EW]:' "$work/log") || true
        rm -rf "$fresh"
        fail "could not download the packages: is this machine offline? apt says: ${reason:-nothing}"
    fi
    say "unpacking into $directory"
    for package in "$work"/cache/archives/*.deb; do
        dpkg-deb -x "$package" "$fresh"
    done
    rm -rf "$fresh"/usr/share/{doc,man}
    finish "$directory"
    rm -rf "$work" "$directory"
    recipe >"$fresh/complete"
    mv "$fresh" "$directory"
}

main() {
    local only_print='' directory lock
    if [[ ${1-} == --help && $# == 1 ]]; then
        echo "$usage"
        exit 0
    fi
    if [[ ${1-} == --print-path ]]; then
        only_print=yes
        shift
    fi
    if (($# > 1)) || [[ ${1-} == -* ]]; then
        echo "$usage" >&2
        exit 2
    fi
    directory=$(realpath -m -- "${1:-$(cache_root)/$default}")
    if [[ $only_print ]]; then
        if ! is_complete "$directory"; then
            say "$what is not in $directory: run \`tools/$self${1+ $1}\`"
            exit 3
        fi
    else
        mkdir -p "$(dirname "$directory")"
        exec {lock}>"$(dirname "$directory")/.$(basename "$directory").lock"
        flock "$lock"
        if ! is_complete "$directory"; then
            [[ ! -e $directory || -e $directory/complete || -z $(ls -A "$directory") ]] ||
                fail "$directory is there and was not made by this script: choose another"
            make "$directory"
        fi
    fi
    echo "$directory"
}
