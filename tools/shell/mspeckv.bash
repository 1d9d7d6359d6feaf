# bash completion of mspeckv. Source it, or let `cmake --install` put it where
# bash-completion finds it. A test holds it against every command's --help.

_mspeckv_commands="run report gather part generate tokenize dataset bench eval synth convert doctor build test help version"

# _mspeckv_options COMMAND: its options; those that take a value end with =.
_mspeckv_options() {
    case $1 in
    run)
        echo "--set= --out= --resume= --trace --metrics= --quiet
            --json-progress= --launcher= --partition= --time= --sbatch= --help"
        ;;
    report)
        echo "--out= --help"
        ;;
    gather)
        echo "--help"
        ;;
    part)
        echo "--task= --help"
        ;;
    generate)
        echo "--target= --draft= --method= --prompt= --prompt-file= --chat
            --system= --pattern= --prefill= --gen-len= --ignore-eos --json
            --temperature= --top-p= --seed= --acceptance= --gamma=
            --gamma-draft= --budget= --chunk= --on-chip= --resident-layers=
            --kv-format= --device= --link-gbps= --threads= --logits=
            --log-dir= --trace= --help"
        ;;
    tokenize)
        echo "--tokenizer= --pattern= --decode --help"
        ;;
    dataset)
        echo "--tokens= --seed= --target= --document= --documents= --field=
            --skip-short --template= --template-file= --chat --ids --help"
        ;;
    bench)
        echo "--help"
        ;;
    bench-attention)
        echo "--device= --tokens= --heads= --group= --head-dim= --threads=
            --rows= --repeats= --prefill --help"
        ;;
    bench-ceilings)
        echo "--device= --help"
        ;;
    bench-matmul)
        echo "--device= --in= --out= --rows= --min-ms= --help"
        ;;
    bench-memory)
        echo "--device= --threads= --help"
        ;;
    bench-probe)
        echo "--device= --import= --help"
        ;;
    eval)
        echo "--target= --text= --seed= --kv-format= --prefill= --tokens=
            --windows= --k-rotation= --json= --device= --threads= --help"
        ;;
    synth)
        echo "--arch= --out= --seed= --dtype= --layers= --tokenizer=
            --shard-size= --threads= --hidden= --heads= --kv-heads=
            --head-dim= --intermediate= --vocab= --rope-theta= --help"
        ;;
    convert)
        echo "--out= --help"
        ;;
    doctor)
        echo "--set= --help"
        ;;
    build)
        echo "--help"
        ;;
    test)
        echo "--full --data= --help"
        ;;
    esac
}

# _mspeckv_values COMMAND OPTION: words, or the kind of path, that OPTION takes.
_mspeckv_values() {
    case "$1 $2" in
    *" --method")
        echo "baseline vanilla_specdec mspeckv mspeckv_kv_quant"
        ;;
    *" --kv-format")
        echo "f32 f16 int8 int4"
        ;;
    *" --acceptance")
        echo "rejection coupled"
        ;;
    *" --launcher")
        echo "local slurm"
        ;;
    *" --template")
        echo "none summarize continue"
        ;;
    *" --k-rotation")
        echo "none hadamard signed-hadamard"
        ;;
    *" --arch")
        echo "llama-7B-128K llama-13B-128K LWM-Text-128K Llama-3.1-8B
            Llama-3.2-1B Llama-3.2-3B llama-68m Mistral-7B-v0.1 Mistral-Nemo
            Qwen2.5-7B Qwen3-0.6B Qwen3-8B custom"
        ;;
    *" --dtype")
        echo "bf16 f16 f32"
        ;;
    *" --device")
        echo "cpu:0 cuda:0"
        ;;
    *" --target" | *" --draft" | *" --resume" | *" --log-dir" | *" --data") echo DIR ;;
    *" --prompt-file" | *" --template-file" | *" --text" | *" --trace" | *" --json" | *" --logits" | *" --tokenizer" | "report --out")
        echo FILE
        ;;
    bench*) ;;
    *" --out") echo DIR ;;
    esac
}

# _mspeckv_arguments COMMAND: the same of what stands without an option.
_mspeckv_arguments() {
    case $1 in
    run | doctor) echo YAML ;;
    report | gather | part | convert) echo DIR ;;
    dataset) echo FILE demo ;;
    bench) echo "attention ceilings matmul memory probe" ;;
    help) echo "$_mspeckv_commands" ;;
    esac
}

# _mspeckv_reply WORD KINDS...: fills COMPREPLY.
_mspeckv_reply() {
    local word=$1 kind
    shift
    for kind in "$@"; do
        case $kind in
        DIR | FILE | YAML)
            compopt -o filenames 2>/dev/null
            mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -d -- "$word")
            ;;&
        FILE) mapfile -t COMPREPLY < <(compgen -f -- "$word") ;;
        YAML) mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -f -X '!*.yaml' -- "$word") ;;
        DIR) ;;
        *) mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -W "$kind" -- "$word") ;;
        esac
    done
}

_mspeckv() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
    local command=${COMP_WORDS[1]} options
    COMPREPLY=()
    if [ "$COMP_CWORD" -eq 1 ]; then
        _mspeckv_reply "$word" $_mspeckv_commands
        return
    fi
    if [ "$command" = bench ] && [ "$COMP_CWORD" -gt 2 ]; then
        command=bench-${COMP_WORDS[2]}
    fi
    # --name=value comes as three words
    if [ "$word" = = ]; then
        word=
    elif [ "$before" = = ]; then
        before=${COMP_WORDS[COMP_CWORD - 2]}
    fi
    options=$(_mspeckv_options "$command")
    if [[ " "${options//$'\n'/ }" " == *" $before= "* ]]; then
        _mspeckv_reply "$word" $(_mspeckv_values "$command" "$before")
    elif [[ $word == -* ]]; then
        _mspeckv_reply "$word" ${options//=/}
    else
        _mspeckv_reply "$word" $(_mspeckv_arguments "$command")
    fi
}

complete -F _mspeckv mspeckv
