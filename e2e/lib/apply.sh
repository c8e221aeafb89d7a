# shellcheck shell=bash
# Manifests applied to a world's API server as a user applies them, each in a namespace of its own. Needs $E2E, $scratch and
# `kubectl` as the administrator.

# The kinds of the Prometheus operator, which is not here.
operator_types() {
    kubectl apply -f "$E2E/testdata/prometheus-operator.yaml" >/dev/null
    kubectl wait --for condition=Established crd -l e2e=prometheus-operator --timeout 30s >/dev/null
}

no_operator_types() { kubectl delete --ignore-not-found crd -l e2e=prometheus-operator >/dev/null; }

namespace() { # NAME LEVEL, of the Pod Security Standards, that is enforced in it
    kubectl apply -f - >/dev/null <<END
apiVersion: v1
kind: Namespace
metadata:
  name: $1
  labels:
    e2e: manifests
    pod-security.kubernetes.io/enforce: $2
    pod-security.kubernetes.io/enforce-version: latest
END
}

# The same in that namespace. The world has the cluster-wide names of the rules already, for its own accounts.
moved_to() { # NAMESPACE FOLDER, with a kustomization.yaml
    cat >>"$2/kustomization.yaml" <<END
namespace: $1
END
    grep -q '^patches:' "$2/kustomization.yaml" || echo patches: >>"$2/kustomization.yaml"
    awk -v name="$1" '{ print } /^patches:/ {
        split("ClusterRole nfs-client-provisioner-runner ClusterRoleBinding run-nfs-client-provisioner", word)
        for (i = 1; i < 4; i += 2) {
            print "  - target: { kind: " word[i] " }"
            print "    options: { allowNameChange: true }"
            printf "    patch: \x27[{ \"op\": \"replace\", \"path\": \"/metadata/name\", \"value\": \"%s-%s\" }]\x27\n", name, word[i + 1]
        }
    }' "$2/kustomization.yaml" >"$2/moved"
    mv "$2/moved" "$2/kustomization.yaml"
}
