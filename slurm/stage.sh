#!/bin/bash
# Puts an archive of data on this node's own disk, once for all jobs there:  stage.sh ARCHIVE SHA256 TO
# Prints the folder that it is unpacked in. TO may begin with a variable of the node, such as $TMPDIR.
set -u
archive=$1 sha=$2 to=$3
if [[ $to =~ ^\$\{?([A-Za-z_][A-Za-z0-9_]*)\}?(/.*)?$ ]]; then
    name=${BASH_REMATCH[1]} rest=${BASH_REMATCH[2]}
    [ -n "${!name:-}" ] || { echo "stage: the variable $name is not set on node $(hostname -s)" >&2; exit 1; }
    to=${!name}$rest
fi
there=$to/segsuite-$(id -u)-${sha:0:20}
mkdir -p "$to" || exit 1
refuse() { # WHAT
    echo "stage: $1: look at who made it, and remove it on node $(hostname -s)" >&2
    exit 1
}
own() { # PATH: neither a link nor another user's; anybody can make names in a scratch folder
    if [ ! -O "$1" ] || [ -L "$1" ]; then refuse "$1 is not a file or folder of $(id -un)"; fi
}
listing() { # of what is unpacked, which is too large to be read again: names, kinds, sizes, times of change
    (cd "$there" && find . -mindepth 1 ! -name '.complete*' -printf '%P\t%y%s\t%T@\t%l\0' | LC_ALL=C sort -z | sha256sum)
}
(set -C && umask 077 && : >"$there.lock") 2>/dev/null # not through a link
own "$there.lock"
exec 9>>"$there.lock" || exit 1
flock 9 || exit 1 # of several jobs on this node the first unpacks, the others wait for it
if [ -e "$there" ] || [ -L "$there" ]; then own "$there"; fi
if [ -e "$there/.complete" ]; then
    [ "$(listing)" = "$(cat "$there/.complete")" ] || refuse "$there is not what was unpacked"
else
    found=$(sha256sum "$archive") || exit 1
    if [ "${found%% *}" != "$sha" ]; then
        echo "stage: $archive is not what it was at submission: its SHA-256 is ${found%% *}, not $sha" >&2
        exit 1
    fi
    rm -rf "$there"
    mkdir -m 700 "$there" || exit 1 # the archive may be this user's alone
    case $archive in
    *.zip) unzip -q "$archive" -d "$there" ;;
    *) tar --no-same-owner --no-same-permissions -xf "$archive" -C "$there" ;;
    esac >&2 || { rm -rf "$there"; echo "stage: $archive could not be unpacked to $to" >&2; exit 1; }
    sync -f "$there" 2>/dev/null || sync # or a power cut leaves .complete beside empty files
    listing >"$there/.complete.tmp" || exit 1
    mv "$there/.complete.tmp" "$there/.complete" || exit 1
fi
echo "$there"
