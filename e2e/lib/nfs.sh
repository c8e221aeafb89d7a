# shellcheck shell=bash
# nfs-ganesha with a real rpcbind, in a network namespace of its own.
#
#   host  10.98.N.1 ── veth ── 10.98.N.2  namespace: rpcbind :111, nfsd :2049, mountd :20048
#         fd98:N::1            fd98:N::2, fe80::98:N:2
#
# Why a namespace: port 111 can be had by each world, registrations of two worlds do not meet, and the server's
# traffic can be cut without touching the machine's own rules. Why a mount namespace: rpcbind's socket is /run/rpcbind.sock.

NETNS=nfs-e2e-$BASE
LINK=nfse2e$NET
NFS_HOST=10.98.$NET.2
NFS_HOST6=fd98:$NET::2
NFS_HOST6_LINK=fe80::98:$NET:2

# The exports: name, host path and options. The path exported is the host path.
#   share    what NFS_PATH means          no_root_squash, source ports below 1024 only
#   second   another share, same server   the same
#   squash   root is nobody here          root_squash
#   open     source ports of any number   no_root_squash
ganesha_export() { # ID NAME SQUASH PRIVILEGED
    cat <<END
EXPORT {
    Export_Id = $1;
    Path = $RUN/$2;
    Pseudo = /$2;
    Protocols = 3;
    Transports = TCP;
    Access_Type = RW;
    Squash = $3;
    SecType = sys;
    PrivilegedPort = $4;
    FSAL { Name = VFS; }
}
END
}

ganesha_config() {
    cat <<CONFIG
NFS_CORE_PARAM {
    Protocols = 3;
    NFS_Port = 2049;
    MNT_Port = 20048;
    Enable_NLM = false;
    Enable_RQUOTA = false;
    Enable_UDP = false;
    # NFSv3 clients ask for Path, not for Pseudo.
    mount_path_pseudo = false;
    Plugins_Dir = "$(dirname "$(find /usr/lib -name libfsalvfs.so -print -quit)")";
}
NFSV4 { Graceless = true; RecoveryRoot = "$RUN/ganesha"; }
LOG {
    Default_Log_Level = EVENT;
    $([ "$E2E_NFS_CALLS" = 0 ] || echo 'COMPONENTS { NFSPROTO = DEBUG; } # each call, by name')
}
CONFIG
    ganesha_export 1 share No_Root_Squash true
    ganesha_export 2 second No_Root_Squash true
    ganesha_export 3 squash Root_Squash true
    ganesha_export 4 open No_Root_Squash false
}

netns_up() {
    ip netns add "$NETNS"
    ip link add "$LINK" type veth peer name eth0 netns "$NETNS"
    ip addr add "10.98.$NET.1/24" dev "$LINK"
    ip -6 addr add "fd98:$NET::1/64" dev "$LINK" nodad
    ip link set "$LINK" up
    ip -n "$NETNS" link set lo up
    ip -n "$NETNS" addr add "$NFS_HOST/24" dev eth0
    ip -n "$NETNS" -6 addr add "$NFS_HOST6/64" dev eth0 nodad
    ip -n "$NETNS" -6 addr add "$NFS_HOST6_LINK/64" dev eth0 nodad
    ip -n "$NETNS" link set eth0 up
}

netns_down() {
    ip link del "$LINK" 2>/dev/null || true
    ip netns del "$NETNS" 2>/dev/null || true
}

rpcbind_start() {
    service_launch rpcbind ip netns exec "$NETNS" \
        unshare --mount sh -c 'mount -t tmpfs tmpfs /run && mkdir -p /run/ganesha && exec rpcbind -f'
    await_service rpcbind 10 in_rpcbind test -S /run/rpcbind.sock
}

# Within rpcbind's network and mount namespaces.
in_rpcbind() { nsenter --target "$(service_pid rpcbind)" --net --mount -- "$@"; }

nfs_start() {
    mkdir -p "$RUN/ganesha"
    ganesha_config >"$RUN/ganesha.conf"
    # `exec` all the way: the pid recorded must be the server's own.
    service_launch nfs nsenter --target "$(service_pid rpcbind)" --net --mount -- \
        ganesha.nfsd -F -f "$RUN/ganesha.conf" -L "$RUN/ganesha.log" -p "$RUN/ganesha/pid"
    await_service nfs 30 nfs_answers
}

nfs_answers() {
    local registered
    registered=$(in_rpcbind rpcinfo -p 127.0.0.1) || return 1
    grep -q 'tcp *2049' <<<"$registered" && grep -q 'tcp *20048' <<<"$registered" &&
        (exec 3<>"/dev/tcp/$NFS_HOST/2049") && (exec 3<>"/dev/tcp/$NFS_HOST/20048")
}

# Dropped, not refused: what a pulled cable looks like.
nfs_block() { # [SECONDS]
    ip netns exec "$NETNS" nft -f - <<'RULES'
table inet cut {
    chain in { type filter hook input priority 0; policy drop; iif "lo" accept; }
    chain out { type filter hook output priority 0; policy drop; oif "lo" accept; }
}
RULES
    if [ $# -gt 0 ]; then
        sleep "$1"
        nfs_unblock
    fi
}

nfs_unblock() { ip netns exec "$NETNS" nft delete table inet cut; }

nfs_up() {
    netns_up
    for share in share second squash open; do
        mkdir -p "$RUN/$share"
        chmod 0777 "$RUN/$share"
    done
    # For the one who measures: ext4 takes ever longer to make directories the more were removed in the last minutes.
    [ "${E2E_SHARE_IN_MEMORY:-0}" = 0 ] || mount -t tmpfs -o mode=0777 tmpfs "$RUN/share"
    rpcbind_start
    nfs_start
}

nfs_down() {
    service_stop nfs
    service_stop rpcbind
    ! mountpoint -q "$RUN/share" || umount "$RUN/share"
    netns_down
}
