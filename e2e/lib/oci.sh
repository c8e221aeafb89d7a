# shellcheck shell=bash
# Images made by buildah with no registry and no kernel support: its own storage, by plain copies, in a folder that goes.

oci_scratch() { # sets $scratch
    scratch=$(mktemp -d)
    cat >"$scratch/storage.conf" <<CONF
[storage]
driver = "vfs"
graphroot = "$scratch/storage"
runroot = "$scratch/run"
CONF
    export CONTAINERS_STORAGE_CONF=$scratch/storage.conf BUILDAH_ISOLATION=chroot
    trap oci_leave EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
}

oci_leave() {
    buildah umount --all >/dev/null 2>&1 || true
    rm -rf "$scratch"
}

# The name is as a manifest says it: what names no registry is Docker's, to containerd as to anyone.
oci_from_folder() { # FOLDER NAME:TAG TAR [arguments of buildah config]...
    local folder=$1 name=$2 tar=$3 container
    shift 3
    container=$(buildah from scratch)
    buildah copy --quiet "$container" "$folder" / >/dev/null
    buildah config "$@" "$container"
    buildah commit --quiet "$container" "localhost/$name" >/dev/null
    buildah rm "$container" >/dev/null
    oci_save "$name" "$tar"
}

oci_save() { # NAME:TAG TAR
    local name=$1
    case $name in
    */*) name=docker.io/$name ;;
    *) name=docker.io/library/$name ;;
    esac
    buildah push --quiet "localhost/$1" "docker-archive:$2.new:$name" >/dev/null
    mv "$2.new" "$2"
}

oci_busybox() { # FOLDER : a root with Debian's static busybox and the users that images commonly have
    local root=$1 applet
    mkdir -p "$root"/{bin,dev,etc,home,proc,root,sys,tmp,usr/bin,var}
    chmod 1777 "$root/tmp"
    cp /bin/busybox "$root/bin/busybox"
    for applet in $(/bin/busybox --list); do
        [ "$applet" = busybox ] || ln -s busybox "$root/bin/$applet"
    done
    ln -s ../../bin/env "$root/usr/bin/env"
    printf '%s\n' root:x:0:0:root:/root:/bin/sh appuser:x:1000:1000::/home/appuser:/bin/sh >"$root/etc/passwd"
    printf '%s\n' root:x:0: appuser:x:1000: >"$root/etc/group"
}
