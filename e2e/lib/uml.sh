# shellcheck shell=bash
# User-mode Linux machines: each a process, on the world's bridge.
#
#   host  10.99.N.1 ── bridge ─┬─ tap ── 10.99.N.2  knfsd
#                              └─ tap ── 10.99.N.3  node
#
# A machine NAME has the folder $RUN/NAME, which it sees as /run/world. In it: its init, its role (what it does once it
# has booted), and `ready` when it has done so.

BRIDGE=nfse2ebr$NET
SUBNET=10.99.$NET
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/nfs-subdir-external-provisioner-e2e

host_shim() { # -> the compiled preload library, cached under its source's checksum
    local source=$E2E/uml/host-shim.c out
    out=$CACHE/host-shim-$(cksum <"$source" | cut -d' ' -f1).so
    if [ ! -e "$out" ]; then
        mkdir -p "${out%/*}"
        gcc -O2 -Wall -shared -fPIC -o "$out.$$" "$source"
        mv "$out.$$" "$out"
    fi
    echo "$out"
}

bridge_up() {
    if [ ! -e "/sys/class/net/$BRIDGE" ]; then
        ip link add "$BRIDGE" type bridge
        ip addr add "$SUBNET.1/24" dev "$BRIDGE"
    fi
    ip link set "$BRIDGE" up
    # See guest-init: a lost interrupt must not become a stall of 200 ms.
    ip route change "$SUBNET.0/24" dev "$BRIDGE" proto kernel scope link src "$SUBNET.1" rto_min 5ms
}

bridge_down() { ip link del "$BRIDGE" 2>/dev/null || true; }

uml_tap() { echo "nfse2et$NET-$1"; } # HOST NUMBER

uml_disk() { # FILE SIZE : an ext4 file system, made when it is not there
    [ ! -e "$1" ] || return 0
    truncate -s "$2" "$1"
    mkfs.ext4 -q -F -E lazy_itable_init=0,lazy_journal_init=0 "$1"
}

# Its disk is $RUN/NAME/disk.img. The arguments after ROLE reach the role as environment.
uml_launch() { # NAME NUMBER MEMORY ROLE NAME=VALUE...
    local name=$1 number=$2 memory=$3 role=$4 guest=$RUN/$1 tap shim
    shift 4
    shim=$(host_shim)
    tap=$(uml_tap "$number")
    cp "$E2E/uml/guest-init" "$E2E/uml/agent.py" "$guest/"
    cp "$role" "$guest/role"
    chmod 755 "$guest/guest-init"
    rm -rf "$guest/ready" "$guest/machine"
    bridge_up
    [ -e "/sys/class/net/$tap" ] || ip tuntap add dev "$tap" mode tap
    ip link set "$tap" master "$BRIDGE" up
    E2E_SHIM=$shim service_launch "$name" "$E2E/uml/machine" \
        "mem=$memory" umid=machine "uml_dir=$guest/" \
        root=/dev/root rootfstype=hostfs rootflags=/ ro "init=$guest/guest-init" "ubd0=$guest/disk.img" \
        "vec0:transport=tap,ifname=$tap,depth=128,gro=1,mac=02:00:0a:63:$(printf %02x "$NET"):0$number" \
        con0=null,fd:1 con=null ssl=null panic=1 quiet \
        "E2E_WORLD=$guest" "E2E_NAME=$name" "E2E_IP=$SUBNET.$number" "$@"
}

uml_exec() { python3 "$E2E/uml/agent.py" "$SUBNET.$1" 7777 "${*:2}"; } # NUMBER COMMAND

# Orderly: file systems synced and read-only, then the power off.
uml_stop() { # NAME
    local pid
    if pid=$(service_pid "$1"); then
        for request in "sysrq s" "sysrq u" halt; do
            # shellcheck disable=SC2086
            timeout 3 uml_mconsole "$RUN/$1/machine/mconsole" $request >/dev/null 2>&1 || true
        done
        wait_until 5 service_gone "$1" || service_kill "$1"
        end_session "$pid"
    elif read -r pid _ 2>/dev/null <"$RUN/$1.pid" && pgrep -s "$pid" -f "uml_dir=$RUN/$1/" >/dev/null; then
        # Killed by somebody else, and its helpers left.
        end_session "$pid"
    fi
    rm -f "$RUN/$1.pid"
}

uml_kill() { # NAME
    local pid
    pid=$(service_pid "$1") || fail "$1 does not run"
    service_kill "$1"
    end_session "$pid"
}

uml_remove() { # NAME NUMBER
    ip link del "$(uml_tap "$2")" 2>/dev/null || true
    rm -rf "${RUN:?}/$1"
}

# UML's helper processes survive its SIGKILL and would keep the tap and the disk image. They share its session, which
# nothing else can have joined: it was made by setsid.
end_session() { # SESSION
    local pid
    for pid in $(pgrep -s "$1"); do
        kill -KILL "$pid" 2>/dev/null || true
    done
    wait_until 5 no_session "$1" || fail "session $1 does not end"
}

no_session() { ! pgrep -s "$1" -r R,S,D,T >/dev/null; }
