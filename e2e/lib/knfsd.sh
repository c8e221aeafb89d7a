# shellcheck shell=bash
# Linux's own NFS server, in a user-mode Linux machine (uml.sh): up, killed and started again like any process.
# rpcbind is on port 111, nfsd on 2049, mountd on 20048, the agent that runs commands on 7777.

KNFSD_HOST=$SUBNET.2

knfsd_start() {
    need linux.uml uml_mconsole gcc mkfs.ext4 rpc.nfsd rpc.mountd exportfs
    if service_pid knfsd >/dev/null; then
        return 0
    fi
    mkdir -p "$RUN/knfsd"
    uml_disk "$RUN/knfsd/disk.img" 2G
    E2E_WRITE_DELAY_US=$E2E_KNFSD_WRITE_DELAY_US uml_launch knfsd 2 768M "$E2E/uml/serve-nfs" \
        E2E_THREADS=8 "E2E_CLIENTS=${E2E_KNFSD_CLIENTS:-$SUBNET.0/24}" "E2E_EXPORT=$E2E_KNFSD_EXPORT"
    await_service knfsd 60 knfsd_answers
}

knfsd_answers() {
    [ -e "$RUN/knfsd/ready" ] && (exec 3<>"/dev/tcp/$KNFSD_HOST/2049") && (exec 3<>"/dev/tcp/$KNFSD_HOST/20048")
}

knfsd_exec() { uml_exec 2 "$*"; }
knfsd_stop() { uml_stop knfsd; }
knfsd_kill() { uml_kill knfsd; }

# Frames vanish, as from a pulled cable: the tap leaves the bridge.
knfsd_block() { # [SECONDS]
    ip link set "$(uml_tap 2)" nomaster
    if [ $# -gt 0 ]; then
        sleep "$1"
        knfsd_unblock
    fi
}

knfsd_unblock() { ip link set "$(uml_tap 2)" master "$BRIDGE"; }

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
    uml_remove knfsd 2
    # Where a node is, the API server listens on the bridge.
    [ "$E2E_NODE" != 0 ] || bridge_down
    [ ! -e "$RUN/world.env" ] || sed -i '/^KNFSD_/d' "$RUN/world.env"
}
