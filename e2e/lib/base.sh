# shellcheck shell=bash
# Which ports, addresses and devices a world takes; E2E_BASE_PORT is what they all follow from.

# Beside a world that somebody left up or is using, and beside what is left of one that was killed.
choose_base() { # FIRST : sets E2E_BASE_PORT and E2E_WORLD where they are not set
    if [ -z "${E2E_BASE_PORT:-}" ]; then
        E2E_BASE_PORT=$1
        until base_is_free "$E2E_BASE_PORT"; do
            E2E_BASE_PORT=$((E2E_BASE_PORT + 100))
            # Beyond are the ports that the kernel gives to connections.
            [ "$E2E_BASE_PORT" -lt 32000 ] || { echo "no world fits beside those from $1 on" >&2; return 1; }
        done
    fi
    export E2E_BASE_PORT
    export E2E_WORLD=${E2E_WORLD:-/tmp/nfs-subdir-e2e-$E2E_BASE_PORT}
}

base_is_free() { # BASE
    local net=$(($1 / 10 % 256)) trace
    for trace in "/tmp/nfs-subdir-e2e-$1/params" "/run/netns/nfs-e2e-$1" \
        "/sys/class/net/nfse2e$net" "/sys/class/net/nfse2ebr$net" "/sys/class/net/nfse2et$net-"*; do
        [ ! -e "$trace" ] || return 1
    done
    ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}
