# shellcheck shell=bash
# docs/quickstart.md, and how README.md installs, followed by their own commands, so that they and this cannot drift apart. Of what it tells the reader to
# put in: the server's address, and HOST, a registry. What a comment behind a command says is to be seen is waited for:
#
#   kubectl get pvc test-claim                 # Bound            what it prints is to contain this
#   ls /data/nfs/default-*                     # on the server: SUCCESS    the same, in the server's machine

TOLD_SERVER=192.168.10.14
GUIDE=docs/quickstart.md

readers_tools() {
    local bin=$RUN/bin
    mkdir -p "$bin"
    printf '#!/bin/sh\nexec "%s" --kubeconfig "%s" "$@"\n' "$KUBECTL" "$ADMIN_KUBECONFIG" >"$bin/kubectl"
    ln -sfn "$("$E2E/node/build.sh")/kustomize" "$bin/"
    chmod 755 "$bin/kubectl"
}

prepare_quickstart() {
    readers_tools
    # "Put your server and share into manifests/tutorial/share.yaml"
    grep -q "server: $TOLD_SERVER$" "$TREE/manifests/tutorial/share.yaml"
    grep -q "path: $KNFSD_PATH$" "$TREE/manifests/tutorial/share.yaml"
    sed -i "s/$TOLD_SERVER/$KNFSD_SERVER/" "$TREE/manifests/tutorial/share.yaml"
}

# The commands of a section's fenced blocks, or of that one block. A section goes by its number or its first word.
quickstart_commands() { # SECTION [BLOCK]
    awk -v section="$1" -v block="${2:-0}" '
        /^## / { here = ($2 == section || $2 == section "."); n = 0 }
        here && /^```/ { inside = !inside; n += inside; next }
        here && inside && (block == 0 || n == block)' "$TREE/$GUIDE" |
        sed "s/$TOLD_SERVER/$KNFSD_SERVER/g; s#HOST/#$HOST/#g"
}

follow() { # SECTION [BLOCK]
    local command seen
    quickstart_commands "$@" >"$RUN/steps/commands"
    [ -s "$RUN/steps/commands" ] || { echo "$GUIDE has no section $*"; return 1; }
    while IFS= read -r -u 3 command; do
        echo "\$ $command"
        seen=
        if [[ $command =~ ^(.*[^ ])\ +#\ (.*)$ ]]; then
            command=${BASH_REMATCH[1]} seen=${BASH_REMATCH[2]}
        fi
        if [[ $seen = "on the server"* ]]; then
            command="server '$command'"
            seen=${seen#on the server}
            seen=${seen#: }
        fi
        case $seen in
        "" | *" is gone" | now\ *) in_tree "$command" ;;
        *) await 120 "'$seen' from $command" shows "$command" "$seen" ;;
        esac
    done 3<"$RUN/steps/commands"
}

server() { world knfsd exec "$*"; }

# In the repository's folder, with the tools on the path, as the reader is.
in_tree() { # COMMAND
    (
        cd "$TREE" || exit
        PATH=$RUN/bin:$PATH
        eval "$1"
    )
}

# Each thing said, such as "data-kafka-0, -1 and -2, Bound", by its last word: in every line but a table's head.
shows() { # COMMAND WHAT
    local printed word=${2##* }
    printed=$(in_tree "$1")
    printed=$(sed '/^NAME /d' <<<"$printed")
    [ -n "$printed" ] && ! grep -qv "$word" <<<"$printed"
}

# === The steps ===

# "Set NFS_SERVER, NFS_PATH and the image in manifests/base/deployment.yaml, then:" The first two are set, by base_manifests.
readme_as_told() {
    readers_tools
    GUIDE=README.md follow Install
}

readme_goes() {
    kubectl delete pvc test-claim
    await 60 "end of the directory" share_is_empty
    kubectl delete deployment nfs-client-provisioner --cascade=foreground
    kubectl delete -k "$TREE/manifests" --ignore-not-found
}

# "From a node: showmount -e lists it", and "rpcinfo -p shows 100003 3 tcp".
node_sees_export() {
    world node exec "showmount -e $KNFSD_SERVER" | grep "^$KNFSD_PATH  *\*$"
    world node exec "rpcinfo -p $KNFSD_SERVER" | grep '100003 *3 *tcp'
}

# The second block is what the first one prints, but for the last column, the age.
provisioner_as_told() {
    prepare_quickstart
    follow 2 1
    [ "$(kubectl get storageclass | sed 's/ *[^ ]*$//' | tr -s ' ')" = "$(quickstart_commands 2 2 | tr -s ' ')" ]
}

claim_as_told() {
    follow 3
    await 60 "end of the directory" share_is_empty
}
