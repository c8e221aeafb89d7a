# shellcheck shell=bash
# Three brokers on claims: what they go through, and that nothing they acknowledged is lost.

KAFKA_IMAGE=apache/kafka:4.1.0
BROKERS=kafka-svc:9092
RECORDS=2000

# A pod to run Kafka's tools in; what has come up is to come up again.
client() { kubectl exec kafka-tools -- bash -c "PATH=\$PATH:/opt/kafka/bin; $1"; }

brokers_up() {
    follow 4
    kubectl run kafka-tools --image "$KAFKA_IMAGE" --restart Never --command -- sleep 86400
    kubectl wait --for condition=Ready pod/kafka-tools --timeout 60s
}

# Three directories, each of one broker, owned by the image's user.
broker_directories() {
    local broker
    for broker in 0 1 2; do
        world knfsd exec "grep node.id $KNFSD_PATH/default-data-kafka-$broker-pvc-*/data/meta.properties" |
            grep "^node.id=$broker$"
    done
}

# As typed into a terminal. Before the Job, whose topic is the same.
by_hand() {
    quickstart_commands 5 2 >"$RUN/steps/commands"
    PATH=$RUN/bin:$PATH python3 "$E2E/node/typist.py" <"$RUN/steps/commands"
}

smoke() {
    follow 5 1
    kubectl logs job/kafka-smoke | grep '^kafka-smoke: passed$'
}

# What identifies a broker's directory: written when it was first used, and never again.
directory_of() { # BROKER
    world knfsd exec "cat $KNFSD_PATH/default-data-kafka-$1-pvc-*/data/meta.properties" | grep '^directory.id='
}

messages() { client "kafka-console-consumer.sh --bootstrap-server $BROKERS --topic $1 --from-beginning --timeout-ms 10000" | sort; }

broker_returns() {
    local before after since=$SECONDS
    before=$(directory_of 1)
    kubectl delete pod kafka-1
    kubectl wait --for condition=Ready pod/kafka-1 --timeout 180s
    note "ready again $((SECONDS - since)) s after the deletion"
    after=$(directory_of 1)
    [ "$before" = "$after" ]
    await 120 "replicas in sync" all_in_sync
}

# A question that got no answer is not the answer "none".
all_in_sync() {
    local behind
    behind=$(client "kafka-topics.sh --bootstrap-server $BROKERS --describe --under-replicated-partitions") || return 1
    [ -z "$behind" ]
}

# Acknowledged by all replicas that are in sync, 100 a second; each acknowledgement is a line of the pod's log. This tool
# gives a record up at the first refusal, which no producer does by itself: it is told Kafka's own default.
producer_starts() {
    client "kafka-topics.sh --bootstrap-server $BROKERS --create --topic acknowledged --partitions 3 --replication-factor 3"
    kubectl run producer --image "$KAFKA_IMAGE" --restart Never --command -- bash -c "
        printf 'retries=2147483647\ndelivery.timeout.ms=300000\n' >/tmp/producer &&
        exec /opt/kafka/bin/kafka-verifiable-producer.sh --producer.config /tmp/producer \
            --bootstrap-server $BROKERS --topic acknowledged --max-messages $RECORDS --throughput 100 --acks -1"
    await 120 "300 acknowledgements" acknowledged_at_least 300
}

acknowledged() { kubectl logs producer | sed -n 's/.*"name":"producer_send_success".*"value":"\([0-9]*\)".*/\1/p'; }
acknowledged_at_least() { [ "$(acknowledged | wc -l)" -ge "$1" ]; }

# A power cut of the server, ten seconds long, with the producer at work: each record is acknowledged in the end.
server_killed() {
    local before
    world knfsd kill
    before=$(acknowledged | wc -l)
    note "$before of $RECORDS acknowledged when it was killed"
    [ "$before" -lt "$RECORDS" ]
    sleep 10
    world knfsd start
    await 330 "good end of the producer" pod_is default producer Succeeded
    acknowledged | sort -nu >"$RUN/acknowledged"
    note "$(wc -l <"$RUN/acknowledged") at the end"
    [ "$(wc -l <"$RUN/acknowledged")" = "$RECORDS" ]
    kubectl delete pod producer
}

# All pods gone, so that what is read afterwards comes from the server and from no memory.
scaled_to_nothing_and_back() {
    local since=$SECONDS
    kubectl scale statefulset kafka --replicas 0
    kubectl wait --for delete pod -l app=kafka-app --timeout 180s
    note "gone after $((SECONDS - since)) s"
    [ "$(kubectl get pvc -l app=kafka-app -o name | wc -l)" = 3 ]
    kubectl scale statefulset kafka --replicas 3
    kubectl rollout status statefulset kafka --timeout 5m
}

nothing_is_lost() {
    local lost pod line
    messages acknowledged | sort -u >"$RUN/consumed"
    sort -u "$RUN/acknowledged" >"$RUN/acknowledged.sorted"
    note "$(wc -l <"$RUN/consumed") read, $(wc -l <"$RUN/acknowledged.sorted") were acknowledged"
    lost=$(comm -23 "$RUN/acknowledged.sorted" "$RUN/consumed")
    [ -z "$lost" ]
    # Older than all of that: the line that was typed, and the smoke test's three; a run of it that failed wrote others.
    messages test01 >"$RUN/older"
    [ "$(grep -cx 'hello world' "$RUN/older")" = 1 ]
    pod=$(kubectl get pods -l app=kafka-smoke --field-selector status.phase=Succeeded -o jsonpath='{.items[0].metadata.name}')
    for line in 1 2 3; do
        [ "$(grep -c "^hello world $pod-[0-9]*-$line$" "$RUN/older")" = 1 ]
    done
}

# What a class says counts when its claims go, not when they come.
class_archives() {
    kubectl get storageclass nfs-client -o json |
        sed 's/"archiveOnDelete": "false"/"archiveOnDelete": "true"/' | kubectl replace --force -f -
    [ "$(kubectl get storageclass nfs-client -o 'jsonpath={.parameters.archiveOnDelete}')" = true ]
}

taken_away() {
    kubectl delete pod kafka-tools --grace-period 1
    follow 6
    for broker in 0 1 2; do
        await 120 "archive of broker $broker" \
            world knfsd exec "grep -rqs cluster.id $KNFSD_PATH/archived-default-data-kafka-$broker-pvc-*"
    done
    await 30 "end of the volumes" no_volumes
    world knfsd exec "rm -r $KNFSD_PATH/archived-*"
    await 30 "end of what the brokers had beside" share_is_empty
}

no_volumes() {
    local volumes
    volumes=$(kubectl get pv -o name) || return 1
    [ -z "$volumes" ]
}
