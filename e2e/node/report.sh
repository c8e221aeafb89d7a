# shellcheck shell=bash
# Steps, each a line with what it took; a closing line as Rust's test runner has it, so that CI's log ends alike.
#
# A step is a function, run in a shell of its own; the first that fails ends the run. What a step finds worth a line of its
# own it says with `note`.

passed=0
failed=0
notes=

step() { # NAME COMMAND...
    local name=$1 since code
    shift
    since=$(date +%s%N)
    : >"$RUN/steps/notes"
    set +e
    (
        set -euo pipefail
        "$@"
    ) >"$RUN/steps/last" 2>&1
    code=$?
    set -e
    cat "$RUN/steps/last" >>"$RUN/steps/all"
    notes=$(paste -sd';' "$RUN/steps/notes" | sed 's/;/; /g')
    if [ $code -eq 0 ]; then
        passed=$((passed + 1))
        echo "$(took "$since") ok      $name${notes:+ ($notes)}"
        return
    fi
    failed=$((failed + 1))
    echo "$(took "$since") FAILED  $name${notes:+ ($notes)}"
    tail -n 40 "$RUN/steps/last"
    exit 1
}

took() { # SINCE, in ns
    local ms=$((($(date +%s%N) - $1) / 1000000))
    printf '%5d.%d s' $((ms / 1000)) $((ms % 1000 / 100))
}

note() { echo "$*" >>"$RUN/steps/notes"; }

await() { # SECONDS WHAT COMMAND...
    local end=$((SECONDS + $1)) what=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        if [ $SECONDS -ge $end ]; then
            echo "no $what in time"
            "$@"
            return 1
        fi
        sleep 0.1
    done
}

closing_line() { # EXIT CODE
    local verdict=ok
    [ "$1" = 0 ] || verdict=FAILED
    echo "test result: $verdict. $passed passed; $failed failed; 0 ignored; 0 measured; 0 filtered out; finished in $SECONDS.00s"
}
