//! Token -> TokenReview -> [`Identity`]: the only source of namespace, ServiceAccount and Pod.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chaperone_protocol::name::ObjectName;
use chaperone_protocol::snapshot::Scope;
use chaperone_protocol::wire::feed::{AUDIENCE, Token};
use jiff::Timestamp;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, TokenReviewStatus};
use kube::api::PostParams;
use kube::{Api, Client};
use sha2::{Digest, Sha256};
use thiserror::Error;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use crate::clock;
use crate::feed::Pod;
use crate::watched::Watched;

/// Reviews in flight.
const IN_FLIGHT: usize = 32;
/// How long a sidecar waits for its turn before it is told to come again: it gives up on an answer after 5 s, and to
/// wait with a connection costs less than to make another.
const TURN: Duration = Duration::from_secs(3);
/// How long a good review is believed.
const CACHE: Duration = Duration::from_secs(60);
/// Reviews that are remembered.
const CACHED: usize = 20_000;
/// How long a review may take.
const CALL: Duration = Duration::from_secs(5);

/// Who a sidecar is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    /// Its Pod.
    pub(crate) pod: Pod,
    /// Namespace and ServiceAccount of it.
    pub(crate) scope: Scope,
    /// When the token ends.
    pub(crate) expires: Timestamp,
}

/// Why nobody knows who a sidecar is. None of it quotes the token.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum Unidentified {
    /// The API server does not accept it: it has expired, is forged, or is for another audience.
    #[error("the token is not accepted")]
    NotAccepted,
    /// It is not bound to a Pod, so that it would outlive one.
    #[error("the token is not bound to a Pod")]
    NotBound,
    /// It is no ServiceAccount's, or has no end.
    #[error("the token is not that of a ServiceAccount, or has no end")]
    NotAServiceAccount,
    /// This operator does not watch its namespace.
    #[error("namespace {0} is not among those that the operator watches")]
    NotWatched(ObjectName),
    /// This operator knows nothing of its namespace, and must not tell it so.
    #[error("namespace {0} may not be read by the operator: its Role is missing")]
    Unread(ObjectName),
    /// Too many ask at once.
    #[error("too many reviews are under way")]
    Busy,
    /// The API server does not answer.
    #[error("the API server does not answer")]
    Unavailable,
}

/// Asks the API server, and remembers its answers for a while.
pub(crate) struct Identifier {
    reviews: Api<TokenReview>,
    watched: Arc<Watched>,
    places: Semaphore,
    cache: Mutex<BTreeMap<[u8; 32], (Identity, Instant)>>,
}

impl Identifier {
    /// Asks by `client`, and lets in who is in a namespace that is `watched`.
    pub(crate) fn new(client: &Client, watched: Arc<Watched>) -> Self {
        let reviews = Api::all(client.clone());
        Self { reviews, watched, places: Semaphore::new(IN_FLIGHT), cache: Mutex::default() }
    }

    /// Who presents this token.
    ///
    /// # Errors
    /// If nobody may know.
    pub(crate) async fn identify(&self, token: &Token) -> Result<Identity, Unidentified> {
        let identity = self.reviewed(token).await?;
        // Of the remembered too: whoever comes again costs no review.
        let namespace = &identity.scope.namespace;
        if !self.watched.has(namespace.as_str()) {
            return Err(Unidentified::NotWatched(namespace.clone()));
        }
        if self.watched.is_unread(namespace.as_str()) {
            return Err(Unidentified::Unread(namespace.clone()));
        }
        Ok(identity)
    }

    async fn reviewed(&self, token: &Token) -> Result<Identity, Unidentified> {
        let hash: [u8; 32] = Sha256::digest(token.expose()).into();
        if let Some(identity) = self.cached(hash) {
            return Ok(identity);
        }
        let turn = timeout(TURN, self.places.acquire()).await;
        let _place = turn.ok().and_then(Result::ok).ok_or(Unidentified::Busy)?;
        let review = TokenReview {
            spec: TokenReviewSpec {
                audiences: Some(vec![AUDIENCE.to_owned()]),
                token: token.expose().to_owned(),
            },
            ..TokenReview::default()
        };
        let asked = timeout(CALL, self.reviews.create(&PostParams::default(), &review)).await;
        let reviewed = asked.ok().and_then(Result::ok).ok_or(Unidentified::Unavailable)?;
        let identity = judge(&reviewed.status.unwrap_or_default(), token)?;
        if identity.expires <= clock::wall() {
            return Err(Unidentified::NotAccepted);
        }
        self.remember(hash, identity.clone());
        Ok(identity)
    }

    fn cached(&self, hash: [u8; 32]) -> Option<Identity> {
        let cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let (identity, at) = cache.get(&hash)?;
        let is_fresh = clock::now() < *at + CACHE && clock::wall() < identity.expires;
        is_fresh.then(|| identity.clone())
    }

    fn remember(&self, hash: [u8; 32], identity: Identity) {
        let now = clock::now();
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if cache.len() >= CACHED {
            cache.retain(|_, (_, at)| now < *at + CACHE);
        }
        if cache.len() < CACHED {
            cache.insert(hash, (identity, now));
        }
    }
}

/// What a review says about a token.
fn judge(status: &TokenReviewStatus, token: &Token) -> Result<Identity, Unidentified> {
    let is_for_us = status.audiences.iter().flatten().any(|audience| audience == AUDIENCE);
    if status.authenticated != Some(true) || !is_for_us {
        return Err(Unidentified::NotAccepted);
    }
    let user = status.user.as_ref().ok_or(Unidentified::NotAServiceAccount)?;
    let extra = |key: &str| {
        let values = user.extra.as_ref()?.get(&format!("authentication.kubernetes.io/{key}"))?;
        values.first().cloned()
    };
    let (name, uid) = extra("pod-name").zip(extra("pod-uid")).ok_or(Unidentified::NotBound)?;
    let scope = user.username.as_deref().and_then(scope_of).ok_or(Unidentified::NotAServiceAccount)?;
    let expires = expiry(token.expose()).ok_or(Unidentified::NotAServiceAccount)?;
    let pod = Pod { namespace: scope.namespace.clone(), name, uid };
    Ok(Identity { pod, scope, expires })
}

fn scope_of(username: &str) -> Option<Scope> {
    let (namespace, service_account) = username.strip_prefix("system:serviceaccount:")?.split_once(':')?;
    Some(Scope { namespace: namespace.parse().ok()?, service_account: service_account.parse().ok()? })
}

/// `exp` of a JSON Web Token. Its signature is the API server's affair, which has accepted it.
fn expiry(token: &str) -> Option<Timestamp> {
    use base64::Engine as _;
    #[derive(serde::Deserialize)]
    struct Claims {
        exp: i64,
    }
    let payload = token.split('.').nth(1)?;
    let payload = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).ok()?;
    let Claims { exp } = serde_json::from_slice(&payload).ok()?;
    Timestamp::from_second(exp).ok()
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use serde_json::json;

    use super::*;

    fn token() -> Token {
        let payload =
            base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(r#"{"exp":1800000000,"sub":"x"}"#);
        Token::new(&format!("header.{payload}.signature")).unwrap()
    }

    fn status(change: impl FnOnce(&mut serde_json::Value)) -> TokenReviewStatus {
        let mut status = json!({
            "authenticated": true,
            "audiences": [AUDIENCE],
            "user": {
                "username": "system:serviceaccount:shop:checkout",
                "extra": {
                    "authentication.kubernetes.io/pod-name": ["pod-1"],
                    "authentication.kubernetes.io/pod-uid": ["uid-1"],
                },
            },
        });
        change(&mut status);
        serde_json::from_value(status).unwrap()
    }

    #[test]
    fn namespace_service_account_and_pod_come_from_the_review() {
        let identity = judge(&status(|_| {}), &token()).unwrap();
        assert_eq!(identity.scope.to_string(), "shop/checkout");
        assert_eq!((identity.pod.name.as_str(), identity.pod.uid.as_str()), ("pod-1", "uid-1"));
        assert_eq!(identity.expires, Timestamp::from_second(1_800_000_000).unwrap());
    }

    #[test]
    fn what_does_not_prove_a_pod_is_refused() {
        let judged = |change: fn(&mut serde_json::Value)| judge(&status(change), &token()).unwrap_err();
        assert_eq!(judged(|it| it["authenticated"] = json!(false)), Unidentified::NotAccepted);
        assert_eq!(judged(|it| it["audiences"] = json!(["https://kubernetes"])), Unidentified::NotAccepted);
        assert_eq!(judged(|it| it["audiences"] = json!(null)), Unidentified::NotAccepted);
        assert_eq!(judged(|it| it["user"]["extra"] = json!({})), Unidentified::NotBound);
        let user = |it: &mut serde_json::Value| it["user"]["username"] = json!("system:admin");
        assert_eq!(judged(user), Unidentified::NotAServiceAccount);
        let endless = Token::new("header.e30.signature").unwrap();
        assert_eq!(judge(&status(|_| {}), &endless).unwrap_err(), Unidentified::NotAServiceAccount);
    }
}
