//! How a partner is reached: TLS, time limits, probe, version of its API.

#![expect(unreachable_pub, reason = "KubeSchema copies each struct into the body of a function")]

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::explain::explain_values;
use crate::field::{ConfigMapKeyRef, DurationString, OBJECT_NAME, SecretRef, duration_within};

/// How a server's certificate is checked, and which one is shown to it.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("has(self.caConfigMapKeyRef) || has(self.clientCertSecretRef) || has(self.serverName)")
    .message("an empty `tls` says nothing: set `caConfigMapKeyRef`, `clientCertSecretRef` or `serverName`, or remove it"))]
pub struct Tls {
    /// PEM certificates that replace the public roots; default: the public roots. Example: `{name: corp-ca, key: ca.crt}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_config_map_key_ref: Option<ConfigMapKeyRef>,
    /// Secret of type `kubernetes.io/tls` with our certificate, keys `tls.crt` and `tls.key`, shown to a server that asks for one; default none. Example: `{name: mtls}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_cert_secret_ref: Option<SecretRef>,
    /// Name that the server's certificate must carry; default: the endpoint's host. Example: `api.internal`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = OBJECT_NAME))]
    pub server_name: Option<String>,
}

/// How long each part of an attempt may take: an integer and a unit, from 1ms to 1h.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Timeouts {
    /// From dialling to the end of the TLS handshake; default `2s`. Beyond it the attempt fails and is retried.
    #[serde(default = "connect")]
    #[x_kube(validation = duration_within("1ms", "1h"))]
    pub connect: DurationString,
    /// From the last byte of the request to the first meaningful token of a stream; default `5s`. Beyond it the next target is tried.
    #[serde(default = "first_token")]
    #[x_kube(validation = duration_within("1ms", "1h"))]
    pub first_token: DurationString,
    /// From the last byte of the request to the complete body of an answer that does not stream; default `120s`. Beyond it the next target is tried.
    #[serde(default = "whole")]
    #[x_kube(validation = duration_within("1ms", "1h"))]
    pub whole: DurationString,
    /// Between two meaningful tokens of a stream; default `30s`. Beyond it the answer ends with an error, or the next target is tried if nothing was sent yet.
    #[serde(default = "idle")]
    #[x_kube(validation = duration_within("1ms", "1h"))]
    pub idle: DurationString,
    /// From the start of an attempt to its last byte; default `600s`. Beyond it the answer ends with an error, or the next target is tried if nothing was sent yet.
    #[serde(default = "total")]
    #[x_kube(validation = duration_within("1ms", "1h"))]
    pub total: DurationString,
}

fn connect() -> DurationString {
    DurationString::seconds(2)
}

fn first_token() -> DurationString {
    DurationString::seconds(5)
}

fn whole() -> DurationString {
    DurationString::seconds(120)
}

fn idle() -> DurationString {
    DurationString::seconds(30)
}

fn total() -> DurationString {
    DurationString::seconds(600)
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect: connect(), first_token: first_token(), whole: whole(), idle: idle(), total: total() }
    }
}

/// How the operator asks whether a partner is there.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HealthCheck {
    /// Path that is joined to the endpoint and asked for by GET; default: the adapter's list of models. Example: `/models`. An answer of 2xx means healthy.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256), regex(pattern = "^/[!-~]*$"))]
    #[x_kube(validation = Rule::new("!self.contains('?') && !self.contains('#')")
        .message("must not have a query or a fragment: remove what follows `?` or `#`"))]
    pub path: Option<String>,
    /// Time between two probes, from 1s to 1h; default `60s`. Example: `30s`.
    #[serde(default = "interval")]
    #[x_kube(validation = duration_within("1s", "1h"))]
    pub interval: DurationString,
}

fn interval() -> DurationString {
    DurationString::seconds(60)
}

/// A version of HTTP.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[schemars(transform = explain_values)]
pub enum HttpVersion {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2: many answers on one connection. Over `https://` if the partner offers it, else HTTP/1.1; an `http://` endpoint must speak it from the first byte. A partner whose connections end at a limit on small or empty frames is spoken to over HTTP/1.1 until the sidecar restarts; `chaperone_h2_retired_total` counts it.
    Http2,
}

/// The version of Anthropic's API that a request is written for.
#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[schemars(transform = explain_values)]
pub enum ApiVersion {
    /// Takes `temperature`, `top_p` and `top_k`.
    #[serde(rename = "2023-06-01")]
    V20230601,
    /// Takes no sampling parameters: those that an app sends are dropped, and named in `x-chaperone-adjusted`.
    #[serde(rename = "2026-10-21")]
    V20261021,
}
