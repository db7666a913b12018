{{- define "layerhouse.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "layerhouse.fullname" -}}
{{- $name := include "layerhouse.name" . }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "layerhouse.selector" -}}
app.kubernetes.io/name: {{ include "layerhouse.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: registry
{{- end }}

{{- define "layerhouse.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: layerhouse
{{- end }}

{{- define "layerhouse.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "layerhouse.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{/* What cannot be served is said before anything is made. */}}
{{- define "layerhouse.check" -}}
{{- if eq .Values.mode "replicas" }}
{{- $storage := .Values.config.storage | default dict }}
{{- if not (or .Values.database.url .Values.database.existingSecret .Values.postgresql.enabled) }}
{{- fail "mode replicas needs a PostgreSQL: database.url, database.existingSecret, or, to try it, postgresql.enabled" }}
{{- end }}
{{- if not (or .Values.s3.bucket .Values.garage.enabled $storage.s3 $storage.gcs $storage.azure) }}
{{- fail "mode replicas needs a bucket: s3.bucket, config.storage.gcs or .azure, or, to try it, garage.enabled" }}
{{- end }}
{{- end }}
{{- if and .Values.postgresql.enabled (or .Values.database.url .Values.database.existingSecret) }}
{{- fail "postgresql.enabled, and another database: which of them?" }}
{{- end }}
{{- if and .Values.garage.enabled .Values.s3.existingSecret }}
{{- fail "garage.enabled wants s3.accessKey and s3.secretKey, and no s3.existingSecret" }}
{{- end }}
{{- end }}

{{- define "layerhouse.databaseUrl" -}}
{{- if .Values.postgresql.enabled -}}
postgres://layerhouse:{{ required "postgresql.password: set one" .Values.postgresql.password }}@{{ include "layerhouse.fullname" . }}-postgresql/layerhouse?sslmode=disable
{{- else -}}
{{ .Values.database.url }}
{{- end }}
{{- end }}

{{/* The configuration that the registry reads, without secrets: ours, and the operator's over it. */}}
{{- define "layerhouse.config" -}}
{{- $values := .Values }}
{{- $http := dict "addr" ":5000" }}
{{- with .Values.host }}{{ $_ := set $http "host" . }}{{ end }}
{{- if .Values.metrics.enabled }}
{{- $_ := set $http "debug" (dict "addr" (printf ":%d" (int .Values.metrics.port)) "prometheus" (dict "enabled" true)) }}
{{- end }}
{{- if .Values.tls.existingSecret }}
{{- $_ := set $http "tls" (dict "certificate" "/etc/layerhouse/tls/tls.crt" "key" "/etc/layerhouse/tls/tls.key") }}
{{- end }}
{{- $storage := dict "delete" (dict "enabled" .Values.delete) }}
{{- $ours := dict }}
{{- if eq .Values.mode "single" }}
{{- $_ := set $storage "filesystem" (dict "rootdirectory" "/var/lib/registry") }}
{{- else }}
{{- $_ := set $ours "directory" "/var/lib/registry" }}
{{- if or .Values.s3.bucket .Values.garage.enabled }}
{{- $s3 := dict "bucket" .Values.s3.bucket "region" .Values.s3.region }}
{{- with .Values.s3.endpoint }}{{ $_ := set $s3 "regionendpoint" . }}{{ end }}
{{- with .Values.s3.rootDirectory }}{{ $_ := set $s3 "rootdirectory" . }}{{ end }}
{{- $redirect := .Values.s3.redirect }}
{{- if .Values.garage.enabled }}
{{- $_ := set $s3 "bucket" (default "layerhouse" .Values.s3.bucket) }}
{{- $_ := set $s3 "region" "garage" }}
{{- $_ := set $s3 "regionendpoint" (printf "http://%s-garage:3900" (include "layerhouse.fullname" .)) }}
{{- $redirect = false }}
{{- end }}
{{- $_ := set $storage "s3" $s3 }}
{{- $_ := set $storage "redirect" (dict "disable" (not $redirect)) }}
{{- end }}
{{- end }}
{{- $config := dict "log" (dict "formatter" "json" "accesslog" (dict "disabled" true)) "http" $http "storage" $storage "layerhouse" $ours -}}
version: 0.1
{{ toYaml (mustMergeOverwrite $config (deepCopy .Values.config)) }}
{{- end }}

{{/* The pod, of either kind. */}}
{{- define "layerhouse.pod" -}}
metadata:
  labels:
    {{- include "layerhouse.selector" . | nindent 4 }}
    {{- with .Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    # Some settings hold from a start on: a change of them is one.
    checksum/config: {{ include "layerhouse.config" . | sha256sum }}
    checksum/secret: {{ include (print $.Template.BasePath "/secret.yaml") . | sha256sum }}
    {{- with .Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "layerhouse.serviceAccount" . }}
  automountServiceAccountToken: false
  # No variables of other services, which could be taken for settings.
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ .Values.terminationGracePeriodSeconds }}
  securityContext:
    {{- toYaml .Values.podSecurityContext | nindent 4 }}
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  containers:
    - name: layerhouse
      image: "{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}"
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      securityContext:
        {{- toYaml .Values.securityContext | nindent 8 }}
      ports:
        - name: http
          containerPort: 5000
        {{- if .Values.metrics.enabled }}
        - name: metrics
          containerPort: {{ .Values.metrics.port }}
        {{- end }}
      {{- if or (eq .Values.mode "replicas") .Values.extraEnv }}
      env:
        {{- if eq .Values.mode "replicas" }}
        - name: LAYERHOUSE_DATABASE
          valueFrom:
            secretKeyRef:
              name: {{ default (include "layerhouse.fullname" .) .Values.database.existingSecret }}
              key: {{ ternary .Values.database.existingSecretKey "databaseUrl" (ne .Values.database.existingSecret "") }}
        {{- if .Values.s3.existingSecret }}
        - name: REGISTRY_STORAGE_S3_ACCESSKEY
          valueFrom:
            secretKeyRef: {name: {{ .Values.s3.existingSecret }}, key: {{ .Values.s3.existingSecretAccessKey }}}
        - name: REGISTRY_STORAGE_S3_SECRETKEY
          valueFrom:
            secretKeyRef: {name: {{ .Values.s3.existingSecret }}, key: {{ .Values.s3.existingSecretSecretKey }}}
        {{- else if .Values.s3.accessKey }}
        - name: REGISTRY_STORAGE_S3_ACCESSKEY
          valueFrom:
            secretKeyRef: {name: {{ include "layerhouse.fullname" . }}, key: accessKey}
        - name: REGISTRY_STORAGE_S3_SECRETKEY
          valueFrom:
            secretKeyRef: {name: {{ include "layerhouse.fullname" . }}, key: secretKey}
        {{- end }}
        {{- end }}
        {{- with .Values.extraEnv }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- end }}
      {{- with .Values.extraEnvFrom }}
      envFrom:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- $scheme := ternary "HTTPS" "HTTP" (ne .Values.tls.existingSecret "") }}
      startupProbe:
        httpGet: {path: /healthz, port: http, scheme: {{ $scheme }}}
        periodSeconds: 5
        failureThreshold: {{ max 1 (div .Values.startupSeconds 5) }}
      # The process lives; an outage of the database or the store is no reason to start it again.
      livenessProbe:
        httpGet: {path: /healthz, port: http, scheme: {{ $scheme }}}
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 6
      # Database and store answer, and it is not about to end.
      readinessProbe:
        httpGet: {path: /readyz, port: http, scheme: {{ $scheme }}}
        periodSeconds: 2
        timeoutSeconds: 5
        failureThreshold: 2
      {{- if and .Values.preStopSleepSeconds (semverCompare ">=1.30.0-0" .Capabilities.KubeVersion.Version) }}
      # Until nobody sends anything here any more.
      lifecycle:
        preStop:
          sleep: {seconds: {{ .Values.preStopSleepSeconds }}}
      {{- end }}
      resources:
        {{- toYaml .Values.resources | nindent 8 }}
      volumeMounts:
        # The directory, not the file, so that a change arrives.
        - name: config
          mountPath: /etc/docker/registry
          readOnly: true
        - name: data
          mountPath: /var/lib/registry
        - name: tmp
          mountPath: /tmp
        {{- if .Values.tls.existingSecret }}
        - name: tls
          mountPath: /etc/layerhouse/tls
          readOnly: true
        {{- end }}
        {{- with .Values.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
  volumes:
    - name: config
      configMap:
        name: {{ include "layerhouse.fullname" . }}
    - name: tmp
      emptyDir: {}
    {{- if eq .Values.mode "replicas" }}
    # A lock and the console, and with a mirror layers on their way.
    - name: data
      emptyDir: {}
    {{- else if .Values.persistence.existingClaim }}
    - name: data
      persistentVolumeClaim:
        claimName: {{ .Values.persistence.existingClaim }}
    {{- end }}
    {{- if .Values.tls.existingSecret }}
    - name: tls
      secret:
        secretName: {{ .Values.tls.existingSecret }}
    {{- end }}
    {{- with .Values.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- if and .Values.spread (eq .Values.mode "replicas") }}
  topologySpreadConstraints:
    {{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
    - maxSkew: 1
      topologyKey: {{ . }}
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "layerhouse.selector" $ | nindent 10 }}
    {{- end }}
  {{- end }}
  {{- with .Values.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
