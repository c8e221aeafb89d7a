#!/bin/bash
# For a machine with one slow processor: the first compiler only, the simplest collector, classes from the archive.
# shellcheck disable=SC2086
archive=
[ ! -e /opt/kafka/kafka.jsa ] || archive=-XX:SharedArchiveFile=/opt/kafka/kafka.jsa
# One by one and in order: the archive is for exactly this path.
jars=(/opt/kafka/libs/*.jar)
exec /opt/java/bin/java ${KAFKA_HEAP_OPTS:--Xmx256m} \
    ${KAFKA_JVM_PERFORMANCE_OPTS:--XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:-UsePerfData -Xshare:auto $archive} \
    -Djava.awt.headless=true ${KAFKA_LOG4J_OPTS:--Dlog4j2.configurationFile=/etc/kafka/docker/tools-log4j2.yaml} \
    -cp "$(IFS=: && echo "${jars[*]}")" "$@"
