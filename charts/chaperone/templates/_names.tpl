{{- /* Names and labels that several objects share. The operator finds its own by these names, so no release changes them. */ -}}
{{- define "chaperone.namespace" -}}
{{ .Values.namespaceOverride | default .Release.Namespace }}
{{- end }}

{{- define "chaperone.selector" -}}
app.kubernetes.io/name: chaperone
app.kubernetes.io/component: operator
{{- end }}

{{- define "chaperone.labels" -}}
{{ include "chaperone.selector" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "chaperone.image" -}}
{{- $repository := required "image.repository is required: the repository that holds the operator's image" .Values.image.repository -}}
{{- with .Values.image.digest }}{{ $repository }}@{{ . }}{{ else }}{{ $repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end }}
{{- end }}

{{- define "chaperone.sidecarImage" -}}
{{- $image := .Values.sidecar.image -}}
{{- $repository := required "sidecar.image.repository is required: the repository that holds the sidecar's image; or set injector.enabled: false" $image.repository -}}
{{- with $image.digest }}{{ $repository }}@{{ . }}{{ else }}{{ $repository }}:{{ $image.tag | default .Chart.AppVersion }}{{ end }}
{{- end }}

{{- /* The Secret with the certificate of feed and webhook. Whoever makes it has one of his own, so that none overwrites another's. */ -}}
{{- define "chaperone.tlsSecret" -}}
{{- $certificate := .Values.certificate -}}
{{- if and $certificate.existingSecret $certificate.certManager.enabled -}}
{{- fail "certificate.existingSecret and certificate.certManager.enabled both say where the certificate comes from: set one of them" -}}
{{- end -}}
{{- if has $certificate.existingSecret (list "chaperone-tls" "chaperone-root") -}}
{{- fail (printf "certificate.existingSecret: %s is a Secret of the operator's own: name another, or leave it empty for the certificate that the operator makes" $certificate.existingSecret) -}}
{{- end -}}
{{- if $certificate.certManager.enabled -}}chaperone-tls-issued
{{- else -}}{{ $certificate.existingSecret | default "chaperone-tls" }}
{{- end -}}
{{- end }}

{{- define "chaperone.certificateFrom" -}}
{{- if .Values.certificate.certManager.enabled -}}cert-manager
{{- else if .Values.certificate.existingSecret -}}secret
{{- else -}}operator
{{- end -}}
{{- end }}

{{- define "chaperone.gatewaySelector" -}}
app.kubernetes.io/name: chaperone
app.kubernetes.io/component: gateway
{{- end }}

{{- define "chaperone.gatewayLabels" -}}
{{ include "chaperone.gatewaySelector" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "chaperone.drillLabels" -}}
app.kubernetes.io/name: chaperone
app.kubernetes.io/component: drills
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}
