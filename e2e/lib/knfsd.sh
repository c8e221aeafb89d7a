# shellcheck shell=bash
# Linux's own NFS server, in a user-mode Linux machine: up, killed and started again like any process.
#
#   host  10.99.N.1 ── bridge ── tap ── 10.99.N.2  guest: rpcbind :111, nfsd :2049, mountd :20048, agent :7777

GUEST=$RUN/knfsd
BRIDGE=nfse2ebr$NET
TAP=nfse2etap$NET
KNFSD_HOST=10.99.$NET.2

host_shim() { # -> the compiled preload library, cached under its source's checksum
    local source=$E2E/uml/host-shim.c out
    out=${XDG_CACHE_HOME:-$HOME/.cache}/nfs-subdir-external-provisioner-e2e/host-shim-$(cksum <"$source" | cut -d' ' -f1).so
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
        ip addr add "10.99.$NET.1/24" dev "$BRIDGE"
    fi
    ip link set "$BRIDGE" up
    # See guest-init: a lost interrupt must not become a stall of 200 ms.
    ip route change "10.99.$NET.0/24" dev "$BRIDGE" proto kernel scope link src "10.99.$NET.1" rto_min 5ms
    [ -e "/sys/class/net/$TAP" ] || ip tuntap add dev "$TAP" mode tap
    ip link set "$TAP" master "$BRIDGE" up
}

knfsd_start() {
    local shim disk=$GUEST/disk.img
    need linux.uml uml_mconsole gcc mkfs.ext4 rpc.nfsd rpc.mountd exportfs
    if service_pid knfsd >/dev/null; then
        return 0
    fi
    shim=$(host_shim)
    mkdir -p "$GUEST"
    cp "$E2E/uml/guest-init" "$E2E/uml/agent.py" "$GUEST/"
    chmod 755 "$GUEST/guest-init"
    if [ ! -e "$disk" ]; then
        truncate -s 2G "$disk"
        mkfs.ext4 -q -F -E lazy_itable_init=0,lazy_journal_init=0 "$disk"
    fi
    rm -rf "$GUEST/ready" "$GUEST/machine"
    bridge_up
    LD_PRELOAD=$shim E2E_WRITE_DELAY_US=$E2E_KNFSD_WRITE_DELAY_US service_launch knfsd \
        linux.uml mem=768M umid=machine "uml_dir=$GUEST/" \
        root=/dev/root rootfstype=hostfs rootflags=/ ro "init=$GUEST/guest-init" "ubd0=$disk" \
        "vec0:transport=tap,ifname=$TAP,depth=128,gro=1,mac=02:00:0a:63:$(printf %02x "$NET"):02" \
        con0=null,fd:1 con=null ssl=null panic=1 quiet \
        "E2E_WORLD=$GUEST" "E2E_IP=$KNFSD_HOST" E2E_THREADS=8 "E2E_EXPORT=$E2E_KNFSD_EXPORT"
    await_service knfsd 60 knfsd_answers
}

knfsd_answers() {
    [ -e "$GUEST/ready" ] && (exec 3<>"/dev/tcp/$KNFSD_HOST/2049") && (exec 3<>"/dev/tcp/$KNFSD_HOST/20048")
}

knfsd_exec() { python3 "$E2E/uml/agent.py" "$KNFSD_HOST" 7777 "$*"; }

# Orderly: file systems synced and read-only, then the power off.
knfsd_stop() {
    local pid
    if pid=$(service_pid knfsd); then
        for request in "sysrq s" "sysrq u" halt; do
            # shellcheck disable=SC2086
            timeout 3 uml_mconsole "$GUEST/machine/mconsole" $request >/dev/null 2>&1 || true
        done
        wait_until 5 service_gone knfsd || service_kill knfsd
        end_session "$pid"
    fi
    rm -f "$RUN/knfsd.pid"
}

knfsd_kill() {
    local pid
    pid=$(service_pid knfsd) || fail "knfsd does not run"
    service_kill knfsd
    end_session "$pid"
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

# Frames vanish, as from a pulled cable: the tap leaves the bridge.
knfsd_block() { # [SECONDS]
    ip link set "$TAP" nomaster
    if [ $# -gt 0 ]; then
        sleep "$1"
        knfsd_unblock
    fi
}

knfsd_unblock() { ip link set "$TAP" master "$BRIDGE"; }

knfsd_up() {
    knfsd_start
    cat >>"$RUN/world.env" <<END
KNFSD_SERVER=$KNFSD_HOST
KNFSD_PATH=/data/nfs
KNFSD_PATH_SECOND=/data/second
KNFSD_PATH_SQUASH=/data/squash
KNFSD_PATH_TMPFS=/data/tmpfs
KNFSD_PATH_SMALL=/data/small
END
}

knfsd_down() {
    knfsd_stop
    ip link del "$TAP" 2>/dev/null || true
    ip link del "$BRIDGE" 2>/dev/null || true
    rm -rf "$GUEST"
    [ ! -e "$RUN/world.env" ] || sed -i '/^KNFSD_/d' "$RUN/world.env"
}
