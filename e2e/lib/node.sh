# shellcheck shell=bash
# A whole node in a user-mode Linux machine (uml.sh): containerd, kubelet, kube-proxy, and pods with volumes that its
# kernel mounts. The cluster's names are answered by CoreDNS on this machine.
#
#   host  API server SUBNET.1:BASE, DNS SUBNET.1:53      node  SUBNET.3, its pods 10.244.0.0/24 behind its address
#
# The images of $RUN/node/images/*.tar are there when the node is up; `node_import` brings another one.

NODE_HOST=$SUBNET.3

dns_start() {
    local tools
    tools=$("$E2E/node/build.sh")
    cat >"$RUN/Corefile" <<END
.:53 {
    bind $SUBNET.1
    ready $SUBNET.1:8181
    errors
    cache 5
    kubernetes cluster.local in-addr.arpa {
        kubeconfig $RUN/admin.kubeconfig
        ttl 5
    }
}
END
    service_launch dns "$tools/coredns" -conf "$RUN/Corefile"
    await_service dns 30 curl -fs "http://$SUBNET.1:8181/ready"
}

node_start() {
    local tools guest=$RUN/node
    need linux.uml uml_mconsole gcc mkfs.ext4 containerd ctr runc iptables-legacy modprobe mount.nfs
    if service_pid node >/dev/null; then
        return 0
    fi
    tools=$("$E2E/node/build.sh")
    mkdir -p "$guest/images" "$guest/bin"
    cp "$tools/kubelet" "$tools/kube-proxy" "$guest/bin/"
    cp -n "$tools"/images/*.tar "$guest/images/"
    cp "$RUN/admin.kubeconfig" "$guest/kubeconfig"
    cp "$E2E/node/kubelet.yaml" "$E2E/node/containerd.toml" "$E2E/node/network.json" "$guest/"
    sed -i "s/@DNS@/$SUBNET.1/; s/@ADDRESS@/$NODE_HOST/" "$guest/kubelet.yaml"
    uml_disk "$guest/disk.img" 8G
    uml_launch node 3 "${E2E_NODE_MEMORY:-6144M}" "$E2E/node/role" "E2E_DNS=$SUBNET.1"
    await_service node 120 test -e "$guest/ready"
    await_service node 60 node_ready
}

node_ready() {
    [ "$(kubectl_admin get node node -o jsonpath='{.status.conditions[?(@.type=="Ready")].status}')" = True ]
}

node_exec() { uml_exec 3 "$*"; }

node_import() { # TAR
    local name
    name=${1##*/}
    cp "$1" "$RUN/node/images/$name"
    node_exec "ctr -n k8s.io image import /run/world/images/$name"
}

node_stop() { uml_stop node; }
node_kill() { uml_kill node; }

node_up() {
    [ "$E2E_NODE" != 0 ] || fail "node: the world must be brought up with E2E_NODE=1"
    bridge_up
    scheduler_start
    dns_start
    node_start
}

node_down() {
    node_stop
    service_stop dns
    uml_remove node 3
}
