# shellcheck shell=bash
# Sourced by `up` and `down`: sets `dir`, the folder of the cluster, or leaves it empty where there is none.
# Without CLUSTER_DIR it has a name that nobody can foresee, noted in a folder that only this user can write to.
mark=.segsuite-local-cluster # in every folder that `up` has made or found empty
note=${XDG_RUNTIME_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}}/segsuite-cluster/folder
dir=${CLUSTER_DIR:-}

own() { # FOLDER: a real folder, and this user's
    [ -d "$1" ] && [ ! -L "$1" ] && [ -O "$1" ]
}
refuse() { # FOLDER WHY
    echo "${0##*/}: $1 $2" >&2
    echo "  to do: name another folder with CLUSTER_DIR" >&2
    exit 2
}
if [ -z "$dir" ] && [ -s "$note" ]; then
    own "$(dirname "$note")" || refuse "$(dirname "$note")" "is not a folder of yours"
    dir=$(cat "$note")
    [ -e "$dir" ] || dir=
fi
if [ -n "$dir" ] && [ -e "$dir" ]; then
    own "$dir" || refuse "$dir" "is not a folder of yours"
    [ -e "$dir/$mark" ] || [ -z "$(ls -A "$dir")" ] || refuse "$dir" "holds other things than a cluster of \`up\`"
fi
