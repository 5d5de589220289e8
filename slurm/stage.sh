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
there=$to/segsuite-$(id -u)-${sha:0:16}
mkdir -p "$to" || exit 1
exec 9>"$there.lock" || exit 1
flock 9 || exit 1 # of several jobs on this node the first unpacks, the others wait for it
if [ ! -e "$there/.complete" ]; then
    found=$(sha256sum "$archive") || exit 1
    if [ "${found%% *}" != "$sha" ]; then
        echo "stage: $archive is not what it was at submission: its SHA-256 is ${found%% *}, not $sha" >&2
        exit 1
    fi
    rm -rf "$there"
    mkdir "$there" || exit 1
    case $archive in
    *.zip) unzip -q "$archive" -d "$there" ;;
    *) tar --no-same-owner -xf "$archive" -C "$there" ;;
    esac >&2 || { rm -rf "$there"; echo "stage: $archive could not be unpacked to $to" >&2; exit 1; }
    touch "$there/.complete"
fi
echo "$there"
