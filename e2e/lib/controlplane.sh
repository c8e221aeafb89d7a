# shellcheck shell=bash
# etcd, kube-apiserver, kube-controller-manager and, on demand, kube-scheduler; on loopback, but for the API server where
# there is a node, whose pods must reach it.

ETCD_DATA=/dev/shm/nfs-subdir-e2e-etcd-$BASE
APISERVER_HOST=127.0.0.1
[ "$E2E_NODE" = 0 ] || APISERVER_HOST=$SUBNET.1
APISERVER=https://$APISERVER_HOST:$BASE

kubectl_admin() { "$BIN/kubectl" --kubeconfig "$RUN/admin.kubeconfig" "$@"; }

etcd_start() {
    local client=http://127.0.0.1:$((BASE + 1)) peer=http://127.0.0.1:$((BASE + 2))
    mkdir -p "$ETCD_DATA"
    service_launch etcd "$BIN/etcd" --data-dir "$ETCD_DATA" --log-level warn --quota-backend-bytes 8000000000 \
        --listen-client-urls "$client" --advertise-client-urls "$client" \
        --listen-peer-urls "$peer" --initial-advertise-peer-urls "$peer" --initial-cluster "default=$peer"
    await_service etcd 30 curl -fs "$client/health"
}

apiserver_start() {
    [ "$E2E_NODE" = 0 ] || bridge_up
    # shellcheck disable=SC2086
    service_launch apiserver "$BIN/kube-apiserver" \
        --etcd-servers "http://127.0.0.1:$((BASE + 1))" \
        --bind-address "$APISERVER_HOST" --secure-port "$BASE" --kubelet-preferred-address-types InternalIP \
        --tls-cert-file "$RUN/certs/apiserver.crt" --tls-private-key-file "$RUN/certs/apiserver.key" \
        --service-account-issuer https://kubernetes.default.svc \
        --service-account-key-file "$RUN/certs/sa.key" --service-account-signing-key-file "$RUN/certs/sa.key" \
        --token-auth-file "$RUN/certs/tokens.csv" --authorization-mode RBAC \
        --service-cluster-ip-range 10.0.0.0/24 --allow-privileged \
        --audit-policy-file "$RUN/audit-policy.yaml" --audit-log-path "$RUN/audit.log" --audit-log-maxsize 4000 \
        $E2E_APISERVER_ARGS
    await_service apiserver 60 apiserver_ready
}

apiserver_ready() {
    curl -fs --max-time 2 --cacert "$RUN/certs/ca.crt" -H "Authorization: Bearer $ADMIN_TOKEN" "$APISERVER/readyz"
}

kcm_start() {
    # The volume binder makes five requests a claim; at Kubernetes's own 20 requests/s it would be what a test measures.
    # shellcheck disable=SC2086
    service_launch kcm "$BIN/kube-controller-manager" --kubeconfig "$RUN/admin.kubeconfig" \
        --bind-address 127.0.0.1 --secure-port $((BASE + 3)) --leader-elect=false \
        --service-account-private-key-file "$RUN/certs/sa.key" --root-ca-file "$RUN/certs/ca.crt" \
        --use-service-account-credentials=false \
        --kube-api-qps "$E2E_KCM_QPS" --kube-api-burst $((E2E_KCM_QPS * 2)) $E2E_KCM_ARGS
    await_service kcm 30 curl -fsk "https://127.0.0.1:$((BASE + 3))/healthz"
}

scheduler_start() {
    # shellcheck disable=SC2119
    BIN=$("$E2E/controlplane/build.sh" kube-scheduler)
    service_launch scheduler "$BIN/kube-scheduler" --kubeconfig "$RUN/admin.kubeconfig" \
        --bind-address 127.0.0.1 --secure-port $((BASE + 4)) --leader-elect=false
    await_service scheduler 30 curl -fsk "https://127.0.0.1:$((BASE + 4))/healthz"
}

make_certs() {
    local certs=$RUN/certs
    mkdir -p "$certs"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj "/CN=e2e-ca" \
        -addext "keyUsage=critical,keyCertSign,cRLSign" -keyout "$certs/ca.key" -out "$certs/ca.crt" 2>/dev/null
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/CN=kube-apiserver" \
        -keyout "$certs/apiserver.key" -out "$certs/apiserver.csr" 2>/dev/null
    openssl x509 -req -in "$certs/apiserver.csr" -CA "$certs/ca.crt" -CAkey "$certs/ca.key" -CAcreateserial -days 30 \
        -extfile <(printf 'subjectAltName=IP:%s,IP:10.0.0.1,DNS:localhost,DNS:kubernetes.default.svc\n' "$APISERVER_HOST") \
        -out "$certs/apiserver.crt" 2>/dev/null
    openssl genrsa -out "$certs/sa.key" 2048 2>/dev/null
    printf '%s,admin,admin,"system:masters"\n' "$ADMIN_TOKEN" >"$certs/tokens.csv"
}

write_kubeconfig() { # FILE TOKEN
    cat >"$1" <<KUBECONFIG
apiVersion: v1
kind: Config
clusters:
  - name: e2e
    cluster:
      server: $APISERVER
      certificate-authority-data: $(base64 -w0 "$RUN/certs/ca.crt")
users:
  - name: e2e
    user:
      token: $2
contexts:
  - name: e2e
    context:
      cluster: e2e
      user: e2e
current-context: e2e
KUBECONFIG
    chmod 600 "$1"
}

# The provisioner's two identities: the Go provisioner's rules to the letter, and ours.
make_accounts() {
    kubectl_admin apply -f "$E2E/testdata/go-rbac.yaml"
    kubectl_admin kustomize --load-restrictor=LoadRestrictionsNone "$E2E/testdata/own-rbac" | kubectl_admin apply -f -
    write_kubeconfig "$RUN/go-rbac.kubeconfig" \
        "$(kubectl_admin -n default create token nfs-client-provisioner --duration 24h)"
    write_kubeconfig "$RUN/own-rbac.kubeconfig" \
        "$(kubectl_admin -n own-rbac create token nfs-client-provisioner --duration 24h)"
}

controlplane_up() {
    # shellcheck disable=SC2119
    BIN=$("$E2E/controlplane/build.sh")
    ADMIN_TOKEN=$(openssl rand -hex 16)
    make_certs
    write_kubeconfig "$RUN/admin.kubeconfig" "$ADMIN_TOKEN"
    cat >"$RUN/audit-policy.yaml" <<'POLICY'
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - level: Metadata
POLICY
    rm -rf "$ETCD_DATA"
    etcd_start
    apiserver_start
    kcm_start
    make_accounts >>"$RUN/setup.log"
}

controlplane_down() {
    service_stop scheduler
    service_stop kcm
    service_stop apiserver
    service_stop etcd
    rm -rf "$ETCD_DATA"
}
