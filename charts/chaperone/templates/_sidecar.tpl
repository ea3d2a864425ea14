{{- /* A sidecar that the chart itself starts, as the injector puts it into the Pods of others. */ -}}
{{- define "chaperone.sidecarContainer" -}}
name: chaperone
image: {{ include "chaperone.sidecarImage" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
command: [/chaperone-sidecar]
env:
  - {name: CHAPERONE_LISTEN, value: "127.0.0.1:4141"}
  - {name: CHAPERONE_ADMIN, value: "0.0.0.0:4142"}
  - {name: CHAPERONE_FEED_ADDRESS, value: chaperone-feed.{{ include "chaperone.namespace" . }}.svc:443}
  - {name: CHAPERONE_FEED_SERVER_NAME, value: chaperone-feed.{{ include "chaperone.namespace" . }}.svc}
  - {name: CHAPERONE_FEED_CA, valueFrom: {secretKeyRef: {name: {{ include "chaperone.tlsSecret" . }}, key: ca.crt}}}
  - {name: CHAPERONE_TOKEN_FILE, value: /var/run/secrets/chaperone.dev/token}
  - {name: CHAPERONE_STATE_DIR, value: /var/run/chaperone}
  - {name: CHAPERONE_START, value: RequireConfig}
ports:
  - {name: chaperone-admin, containerPort: 4142}
startupProbe:
  httpGet: {path: /readyz, port: chaperone-admin}
  periodSeconds: 1
  failureThreshold: 600
resources:
  requests: {cpu: {{ .Values.sidecar.cpu }}, memory: {{ .Values.sidecar.memory }}}
securityContext: {{- include "chaperone.containerSecurity" . | nindent 2 }}
volumeMounts:
  - {name: chaperone-token, mountPath: /var/run/secrets/chaperone.dev, readOnly: true}
  - {name: chaperone-state, mountPath: /var/run/chaperone}
{{- end }}

{{- define "chaperone.sidecarVolumes" -}}
- name: chaperone-token
  projected:
    sources:
      - serviceAccountToken: {audience: chaperone-operator, expirationSeconds: 3600, path: token}
- name: chaperone-state
  emptyDir: {medium: Memory, sizeLimit: 16Mi}
{{- end }}

{{- define "chaperone.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}
