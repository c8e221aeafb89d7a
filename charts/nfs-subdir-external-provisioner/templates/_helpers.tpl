{{/* Names and selector labels are those of the Go provisioner's chart: a Deployment's selector cannot be changed. */}}
{{- define "provisioner.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "provisioner.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "provisioner.selectorLabels" -}}
app: {{ include "provisioner.name" . }}
release: {{ .Release.Name }}
{{- end }}

{{- define "provisioner.podLabels" -}}
{{ include "provisioner.selectorLabels" . }}
{{- with .Values.labels }}
{{ include "provisioner.strings" . }}
{{- end }}
{{- end }}

{{- define "provisioner.labels" -}}
chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
heritage: {{ .Release.Service }}
{{ include "provisioner.podLabels" . }}
{{- end }}

{{- define "provisioner.serviceAccountName" -}}
{{- $account := default dict .Values.serviceAccount }}
{{- default (ternary (include "provisioner.fullname" .) "default" (dig "create" true $account)) $account.name }}
{{- end }}

{{- define "provisioner.provisionerName" -}}
{{- default (printf "cluster.local/%s" (include "provisioner.fullname" .)) (default dict .Values.storageClass).provisionerName }}
{{- end }}

{{/* A value as text. A values file makes every number a float, which Go prints from a million on as 1e+06. */}}
{{- define "provisioner.text" -}}
{{- if and (kindIs "float64" .) (eq (floor .) .) }}{{ int64 . }}{{ else }}{{ toString . }}{{ end }}
{{- end }}

{{/* Labels, annotations and node labels: Kubernetes takes texts only, a values file has numbers among them. */}}
{{- define "provisioner.strings" -}}
{{- $texts := dict }}
{{- range $name, $value := . }}
{{- $_ := set $texts $name (include "provisioner.text" $value) }}
{{- end }}
{{- toYaml $texts }}
{{- end }}

{{/* What the provisioner calls its lock. */}}
{{- define "provisioner.lockName" -}}
{{- include "provisioner.provisionerName" . | replace "/" "-" | replace "_" "-" | lower }}
{{- end }}

{{/* The image; never the Go provisioner's, which --reuse-values would keep, and which has no share to work on here. */}}
{{- define "provisioner.image" -}}
{{- $image := default dict .Values.image }}
{{- $repository := default .Chart.Name $image.repository }}
{{- $tag := include "provisioner.text" (default .Chart.AppVersion $image.tag) }}
{{- if or (hasSuffix "sig-storage/nfs-subdir-external-provisioner" $repository) (regexMatch "^v4\\.0\\.[0-9]+$" $tag) }}
{{- fail (printf "\n\nimage %s:%s is the Go provisioner's, kept from the old release. Give this one's as well:\n  --set image.repository=HOST/nfs-subdir-external-provisioner --set image.tag=%s\n" $repository $tag .Chart.AppVersion) }}
{{- end }}
{{- printf "%s:%s" $repository $tag }}
{{- end }}

{{- define "provisioner.port" -}}
{{- dig "port" 8080 (default dict .Values.metrics) }}
{{- end }}

{{- define "provisioner.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{ include "provisioner.sysctls" . }}
{{- end }}

{{- define "provisioner.sysctls" -}}
sysctls:
  # NFS servers export to ports below 1024 only, unless told `insecure`.
  - name: net.ipv4.ip_unprivileged_port_start
    value: "0"
{{- end }}

{{- define "provisioner.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: ["ALL"]
{{- end }}

{{- define "provisioner.affinity" -}}
podAntiAffinity:
  preferredDuringSchedulingIgnoredDuringExecution:
    - weight: 100
      podAffinityTerm:
        topologyKey: kubernetes.io/hostname
        labelSelector:
          matchLabels:
            {{- include "provisioner.selectorLabels" . | nindent 12 }}
{{- end }}

{{/* One class. Takes "root", "class" and "mountOptions". Parameters cannot be changed once the class is there: for the
     values of the Go chart they are to the letter what that chart writes. */}}
{{- define "provisioner.class" -}}
{{- $class := .class }}
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata:
  name: {{ required "each of storageClasses needs a name" $class.name }}
  labels:
    {{- include "provisioner.labels" .root | nindent 4 }}
  {{- if or $class.defaultClass $class.annotations }}
  annotations:
    {{- if $class.defaultClass }}
    storageclass.kubernetes.io/is-default-class: "true"
    {{- end }}
    {{- with $class.annotations }}
    {{- include "provisioner.strings" . | nindent 4 }}
    {{- end }}
  {{- end }}
provisioner: {{ include "provisioner.provisionerName" .root }}
allowVolumeExpansion: {{ dig "allowVolumeExpansion" true $class }}
reclaimPolicy: {{ default "Delete" $class.reclaimPolicy }}
volumeBindingMode: {{ default "Immediate" $class.volumeBindingMode }}
parameters:
  archiveOnDelete: {{ dig "archiveOnDelete" true $class | toString | quote }}
  {{- with $class.pathPattern }}
  pathPattern: {{ . | quote }}
  {{- end }}
  {{- with $class.onDelete }}
  onDelete: {{ . | quote }}
  {{- end }}
  {{- range $name, $value := $class.parameters }}
  {{ $name }}: {{ include "provisioner.text" $value | quote }}
  {{- end }}
{{- with .mountOptions }}
mountOptions:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
