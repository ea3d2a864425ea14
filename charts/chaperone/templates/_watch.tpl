{{- /* Which namespaces the operator may read, where that is not the whole cluster: those of the value, and its own. */ -}}
{{- define "chaperone.watched" -}}
{{- $namespaces := append .Values.watchNamespaces (include "chaperone.namespace" .) | uniq | sortAlpha -}}
{{- $namespaces | toJson -}}
{{- end }}

{{- define "chaperone.evicts" -}}
{{- if and .Values.injector.enabled .Values.injector.evictUninjected }}yes{{ end -}}
{{- end }}

{{- /* What it may do in each namespace that it watches. */ -}}
{{- define "chaperone.watchRules" -}}
- apiGroups: [chaperone.dev]
  resources: [partners, modelroutes, tenantquotas]
  verbs: [get, list, watch]
- apiGroups: [chaperone.dev]
  resources: [partners/status, modelroutes/status, tenantquotas/status]
  verbs: [patch]
# Secrets and ConfigMaps are followed by label, `chaperone.dev/credential` and `chaperone.dev/schema`; RBAC knows no
# labels, so this is the right to read all of them.
- apiGroups: [""]
  resources: [pods, secrets, configmaps]
  verbs: [get, list, watch]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- if include "chaperone.evicts" . }}
# Of Pods that have no sidecar and could have one; and to see that what makes them misses none.
- apiGroups: [""]
  resources: [pods/eviction]
  verbs: [create]
- apiGroups: [apps]
  resources: [replicasets, statefulsets, daemonsets]
  verbs: [get]
- apiGroups: [""]
  resources: [replicationcontrollers]
  verbs: [get]
{{- end }}
{{- end }}
