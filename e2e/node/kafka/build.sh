#!/usr/bin/env bash
# Stands in for the Kafka project's image, which no registry is asked for: the same jars by Maven, Debian's JRE, and the
# same class making the configuration from the same variables, so that what is tested is the manifest that ships.
# Prints the image's archive, kept under ${XDG_CACHE_HOME:-~/.cache}. Progress goes to stderr.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
java=$(dirname "$(dirname "$(readlink -f "$(command -v java)")")")
version=$(sed -n 's/.*<kafka.version>\(.*\)<.*/\1/p' "$here/pom.xml")
made_of=$({ find "$here" -type f | sort | xargs cat; cat "$java/release"; } | cksum | cut -d' ' -f1)
out=${XDG_CACHE_HOME:-$HOME/.cache}/nfs-subdir-external-provisioner-e2e/kafka-$version-$made_of
mkdir -p "$out"
echo "$out/kafka.tar"

exec 9>"$out/.lock"
flock 9
[ -e "$out/kafka.tar" ] && exit
started=$SECONDS

# shellcheck source=../../lib/oci.sh
source "$here/../../lib/oci.sh"
oci_scratch
root=$scratch/root

MODULES=java.base,java.desktop,java.logging,java.management,java.management.rmi,java.naming,java.scripting
MODULES=$MODULES,java.security.jgss,java.security.sasl,java.sql,java.xml,jdk.crypto.ec,jdk.management,jdk.net
MODULES=$MODULES,jdk.unsupported,jdk.zipfs

# The tools that Kafka's folder has as scripts, as far as the manifests and the quick start use them.
TOOLS="
kafka-broker-api-versions.sh org.apache.kafka.tools.BrokerApiVersionsCommand
kafka-console-consumer.sh    org.apache.kafka.tools.consumer.ConsoleConsumer
kafka-console-producer.sh    org.apache.kafka.tools.ConsoleProducer
kafka-get-offsets.sh         org.apache.kafka.tools.GetOffsetShell
kafka-metadata-quorum.sh     org.apache.kafka.tools.MetadataQuorumCommand
kafka-server-start.sh        kafka.Kafka
kafka-storage.sh             kafka.tools.StorageTool
kafka-topics.sh              org.apache.kafka.tools.TopicCommand
kafka-verifiable-producer.sh org.apache.kafka.tools.VerifiableProducer
"

# What the programs in a folder are linked to.
libraries() {
    find "$@" \( -name '*.so' -o -perm -u+x -type f \) -exec ldd {} + 2>/dev/null |
        awk '$2 == "=>" && $3 ~ /^\// { print $3 } $1 ~ /^\/lib64/ { print $1 }' | grep -v "^$root" | sort -u
}

lay_out() {
    local name class library
    oci_busybox "$root"
    mkdir -p "$root"/{etc/kafka/docker,lib64,lib/x86_64-linux-gnu,mnt/shared/config,opt/kafka/bin,opt/kafka/config,usr/logs}
    cp /bin/bash "$root/bin/"
    "$java/bin/jlink" --module-path "$java/jmods" --add-modules $MODULES --no-header-files --no-man-pages \
        --strip-java-debug-attributes --output "$root/opt/java" >&2
    # Debian keeps it below /etc, and links.
    rm -rf "$root/opt/java/conf" && cp -rL "$java/conf" "$root/opt/java/conf"
    mvn --batch-mode --quiet --file "$here/pom.xml" dependency:copy-dependencies \
        -DoutputDirectory="$root/opt/kafka/libs" >&2
    for library in $(libraries "$root/opt/java" "$root/bin/bash") /lib/x86_64-linux-gnu/{libnss_dns,libresolv}.so.2; do
        cp -L "$library" "$root/lib/x86_64-linux-gnu/"
    done
    cp -L /lib64/ld-linux-x86-64.so.2 "$root/lib64/"
    echo 'hosts: files dns' >"$root/etc/nsswitch.conf"
    cp "$here"/image/{run,log4j2.yaml,tools-log4j2.yaml,server.properties} "$root/etc/kafka/docker/"
    cp "$here/image/kafka-run-class.sh" "$root/opt/kafka/bin/"
    while read -r name class; do
        [ -n "$name" ] || continue
        # shellcheck disable=SC2016
        printf '#!/bin/bash\nexec "${BASH_SOURCE[0]%%/*}/kafka-run-class.sh" %s "$@"\n' "$class" >"$root/opt/kafka/bin/$name"
    done <<<"$TOOLS"
    chmod 755 "$root"/opt/kafka/bin/* "$root/etc/kafka/docker/run"
}

# Classes parsed once for all, as the project's image has it too. The archive names the files it was made from, and their
# times.
archive_classes() {
    find "$root/opt" -exec touch -h -d @1000000000 {} +
    # The archive is made where the broker runs: in its root, with names of its own.
    echo '127.0.0.1 localhost' >"$root/etc/hosts"
    # shellcheck disable=SC2016
    unshare --mount --net --uts --pid --fork --kill-child bash -euo pipefail -c '
        ip link set lo up
        hostname localhost
        mount --bind /dev "$1/dev"
        mount -t proc proc "$1/proc"
        chroot "$1" /opt/java/bin/java -XX:+UseSerialGC -Xshare:dump
        cp "$2" "$1/tmp/"
        chroot "$1" /bin/bash /tmp/class-archive
    ' - "$root" "$here/class-archive" >"$out/class-archive.log" 2>&1 ||
        { tail -n 20 "$out/class-archive.log" >&2; exit 1; }
    rm -rf "$root"/tmp/* "$root"/opt/kafka/config/* "$root/etc/hosts"
}

# As in the project's image, the folders that its user writes to are that user's.
make_image() {
    local container
    container=$(buildah from scratch)
    buildah copy --quiet "$container" "$root" / >/dev/null
    for folder in /opt/kafka/config /mnt/shared/config /usr/logs; do
        mkdir -p "$scratch/empty"
        buildah copy --quiet --chown 1000:1000 "$container" "$scratch/empty" "$folder" >/dev/null
    done
    buildah run "$container" -- /bin/chown 1000:1000 /opt/kafka/config /mnt/shared/config /usr/logs
    buildah config --user 1000 --env PATH=/bin:/usr/bin:/opt/java/bin --env JAVA_HOME=/opt/java \
        --entrypoint '[]' --cmd /etc/kafka/docker/run --port 9092 "$container"
    buildah commit --quiet "$container" "localhost/apache/kafka:$version" >/dev/null
    oci_save "apache/kafka:$version" "$out/kafka.tar"
}

lay_out
archive_classes
make_image
echo "build.sh: built the image of Kafka $version in $((SECONDS - started)) s" >&2
