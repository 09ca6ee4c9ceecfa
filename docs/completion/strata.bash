# Completion of strata for bash, made by 'strata help --bash'.
# shellcheck shell=bash disable=SC2207
_strata() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
    local command='' format='' words='' options='' i
    COMPREPLY=()
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
            -O | --output-format) format=${COMP_WORDS[i + 1]} ;;
        esac
        case ${COMP_WORDS[i]} in
            plan | run | abandon | status | history | log | info | map | digest | compare | measure | check | convert | stages | formats | schema | help) command=${command:-${COMP_WORDS[i]}} ;;
        esac
    done
    case $prev in
        -f | --format | -F | --format-b | -O | --output-format)
            words=" qcow2 vmdk vhd vdi raw" ;;
        -o | --option)
            case $format in
            qcow2) words="compat= cluster_size= compression= level= extended_l2= preallocation= refcount_bits= lazy_refcounts=" ;;
            vmdk) words="subformat= adapter_type= hw_version= level=" ;;
            vhd | vpc) words="subformat= block_size=" ;;
            vdi) words="subformat=" ;;
            raw) words="preallocation=" ;;
            esac
            compopt -o nospace ;;
        --progress) words="auto bar plain none" ;;
        --state | --allow) COMPREPLY=($(compgen -d -- "$cur")); return ;;
        --events) COMPREPLY=($(compgen -f -- "$cur")); return ;;
        --var | --machine | --tag | --snapshot | -W | --workers) return ;;
        *) words='' ;;
    esac
    if [[ $words ]]; then
        COMPREPLY=($(compgen -W "$words" -- "$cur"))
        return
    fi
    options=" --allow --state --json --progress -q --quiet -v --verbose -h --help -V --version"
    case $command in
        '') words=" plan run abandon status history log info map digest compare measure check convert stages formats schema help" ;;
        plan)
            options="$options --var --machine --tag --fresh"
            ;;
        run)
            options="$options --var --machine --tag --fresh --only-failed --events"
            ;;
        abandon)
            options="$options --var --machine --tag"
            ;;
        status)
            options="$options"
            ;;
        history)
            options="$options --machine"
            ;;
        log)
            options="$options --machine"
            ;;
        info)
            options="$options -f --format --snapshot --layer --chain --layout"
            ;;
        map)
            options="$options -f --format --snapshot --layer"
            ;;
        digest)
            options="$options -f --format --snapshot --layer --flat -W --workers -r --rate --direct"
            ;;
        compare)
            options="$options -f --format -F --format-b --layer --strict -W --workers -r --rate --direct"
            ;;
        measure)
            options="$options -f --format --snapshot --layer -O --output-format -o --option --fast -W --workers -r --rate --direct"
            ;;
        check)
            options="$options -f --format --layer"
            ;;
        convert)
            options="$options -f --format --snapshot --layer -O --output-format -o --option --no-sync --overwrite --digest -W --workers -r --rate --direct"
            ;;
        stages)
            options="$options"
            words=" preflight consolidate convert verify command"
            ;;
        formats)
            options="$options"
            words=" qcow2 vmdk vhd vdi raw"
            ;;
        schema)
            options="$options"
            ;;
        help)
            options="$options --man --bash --reference"
            words=" plan run abandon status history log info map digest compare measure check convert stages formats schema help"
            ;;
    esac
    if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W "$options" -- "$cur"))
    elif [[ $words ]]; then
        COMPREPLY=($(compgen -W "$words" -- "$cur"))
    else
        COMPREPLY=($(compgen -f -- "$cur"))
    fi
}
complete -o filenames -F _strata strata
