# shellcheck shell=bash
# Processes that outlive the script which started them: started, found again, signalled and stopped by pid.
#
# $RUN/NAME.pid holds "PID START", START being the kernel's start time of that pid: a pid that has been given to
# another process since is never signalled.

fail() {
    echo "world: $*" >&2
    exit 1
}

# The kernel's start time of a pid (field 22 of stat; the name before it may hold spaces, so count from its end).
# Of a killed process the first thread can be a zombie while others still hold its listening sockets: it is gone with the last of them.
start_time() {
    local stat pid=$1 threads
    stat=$(cat "/proc/$pid/stat" 2>/dev/null) || return 1
    stat=${stat##*) }
    # shellcheck disable=SC2086
    set -- $stat
    if [ "$1" = Z ]; then
        threads=("/proc/$pid/task/"*)
        [ ${#threads[@]} -gt 1 ] || return 1
    fi
    echo "${20}"
}

service_pid() { # NAME -> its pid, when it runs
    local pid start
    read -r pid start 2>/dev/null <"$RUN/$1.pid" || return 1
    [ "$(start_time "$pid")" = "$start" ] && echo "$pid"
}

service_launch() { # NAME COMMAND... : in the background, its output appended to NAME.log
    local name=$1 pid
    shift
    if service_pid "$name" >/dev/null; then
        return 0
    fi
    setsid "$@" >>"$RUN/$name.log" 2>&1 </dev/null 8>&- 9>&- &
    pid=$!
    echo "$pid $(start_time "$pid")" >"$RUN/$name.pid"
}

service_signal() { # NAME SIGNAL
    local pid
    pid=$(service_pid "$1") || fail "$1 does not run"
    kill "-$2" "$pid"
}

service_stop() { # NAME [SECONDS before SIGKILL, 15]
    local name=$1 pid
    if pid=$(service_pid "$name"); then
        # A stopped process cannot handle SIGTERM.
        kill -TERM "$pid" && kill -CONT "$pid"
        wait_until "${2:-15}" service_gone "$name" || kill -KILL "$pid" 2>/dev/null
        wait_until 5 service_gone "$name" || fail "$name (pid $pid) does not end"
    fi
    rm -f "$RUN/$name.pid"
}

service_kill() { # NAME
    service_signal "$1" KILL
    wait_until 5 service_gone "$1" || fail "$1 does not end"
    rm -f "$RUN/$1.pid"
}

service_gone() { ! service_pid "$1" >/dev/null; }

wait_until() { # SECONDS COMMAND... : until it succeeds
    local end=$((SECONDS + $1 + 1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $end ] || return 1
        sleep 0.05
    done
}

# Like wait_until, but gives up at once when the service itself has ended.
await_service() { # NAME SECONDS COMMAND...
    local name=$1 end=$((SECONDS + $2 + 1))
    shift 2
    until "$@" >/dev/null 2>&1; do
        if service_gone "$name" || [ $SECONDS -ge $end ]; then
            tail -n 20 "$RUN/$name.log" >&2
            fail "$name did not become ready; its log is $RUN/$name.log"
        fi
        sleep 0.05
    done
}
