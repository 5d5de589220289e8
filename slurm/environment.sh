# shellcheck shell=bash disable=SC1090,SC2034
# Sourced by the job scripts. What a profile asks for before a command runs comes to them as words:
#   [--module NAME]... [--do COUNT WORD...]... [--stage ARCHIVE SHA256 TO] [--srun WORD]... -- [CONTAINER WORDS...]
# Nothing of it is read by a shell as text: a word stays one word.

# Under sbatch --export=NONE srun would start the command without what is exported here, PYTHONPATH too.
unset SLURM_EXPORT_ENV

use_code() { # FOLDER: Python takes segsuite from there
    # `python -m` looks in the working directory first, and that is the checkout where it is submitted from there. An
    # empty entry of PYTHONPATH means it, too.
    local path=:${PYTHONPATH:-}:
    while [[ $path == *::* ]]; do path=${path//::/:}; done
    path=${path%:}
    export PYTHONPATH=$1$path PYTHONSAFEPATH=1
}

prepare_site() { # WORDS: loads modules, runs the prologue; sets srun_words and container. `step`: what it is at
    local count
    step="" srun_words=(--export=ALL) container=()
    while [ $# -gt 0 ] && [ "$1" != -- ]; do
        case $1 in
        --module)
            step="module load $2"
            site_step load_module "$2" || return
            shift 2
            ;;
        --do)
            count=$2
            step="prologue ${*:3:count}"
            site_step "${@:3:count}" || return
            shift $((count + 2))
            ;;
        --stage)
            step="stage $2"
            stage "$2" "$3" "$4" || return
            shift 4
            ;;
        --srun)
            srun_words+=("$2")
            shift 2
            ;;
        *)
            step="reading its own arguments at $1"
            return 2
            ;;
        esac
    done
    [ $# -gt 0 ] && shift
    container=("$@") step=""
}

stage() { # ARCHIVE SHA256 TO: on each node of the job; SEGSUITE_STAGED is where
    local each=() said
    [ "${SLURM_JOB_NUM_NODES:-1}" -gt 1 ] &&
        each=(srun --export=ALL --overlap --nodes="$SLURM_JOB_NUM_NODES" --ntasks="$SLURM_JOB_NUM_NODES" --ntasks-per-node=1)
    said=$(${each[@]+"${each[@]}"} bash "$code/slurm/stage.sh" "$@") || return
    SEGSUITE_STAGED=$(sort -u <<<"$said")
    if [[ $SEGSUITE_STAGED == *$'\n'* ]]; then
        echo "stage: nodes have different folders: $SEGSUITE_STAGED" >&2
        return 1
    fi
    export SEGSUITE_STAGED
}

site_step() { # COMMAND WORDS: in this shell, so that it can change the environment
    local words=("$@") options code
    options=$(set +o)
    set +u # scripts of conda and modules read variables that are not set
    set -- # and a sourced file without arguments would see ours
    "${words[@]}"
    code=$?
    eval "$options" # a sourced file may have said set -e
    return $code
}

load_module() { # NAME
    local init said code
    for init in "${LMOD_PKG:-/nowhere}/init/bash" "${MODULESHOME:-/nowhere}/init/bash" /etc/profile.d/lmod.sh \
        /etc/profile.d/z00_lmod.sh /etc/profile.d/modules.sh /usr/share/{lmod/lmod,modules,Modules}/init/bash; do
        type module >/dev/null 2>&1 && break # a job's shell is no login shell, which would know it
        [ -r "$init" ] && . "$init"
    done
    if ! type module >/dev/null 2>&1; then
        echo "a job's shell has no command \`module\` here: source its init file in \`prologue\` of the profile" >&2
        return 127
    fi
    said=$(mktemp) || said=/dev/null
    module load "$1" 2>"$said"
    code=$?
    cat "$said" >&2
    grep -q ERROR "$said" && [ $code -eq 0 ] && code=1 # Environment Modules 3 says so and returns 0
    [ "$said" != /dev/null ] && rm -f "$said"
    return $code
}
