//! What operator and sidecar say on the feed, one JSON object a frame: `{"type", "epoch", "body"}`.
//!
//! Either side may be older. An unknown type or field is ignored, so what must not be ignored needs a new [`PROTOCOL`]
//! or a `requires` in the snapshot. What a sidecar may use is decided by its token, never by a frame.
//!
//! [`PROTOCOL`]: super::PROTOCOL

use std::borrow::Cow;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

pub use super::frame::{Decoder, InvalidFrame};
pub use super::health::{Health, Hint, Remaining, Resting, RestingCause, Withheld};
use crate::invalid::Invalid;
use crate::keys::Keys;
use crate::limits;
use crate::sensitive::Sensitive;
use crate::snapshot::Version;

/// Path of the stream: `POST`, with the token as bearer, frames both ways.
pub const PATH: &str = "/feed/v1";
/// The audience that a sidecar's token must be made for.
pub const AUDIENCE: &str = "chaperone-operator";

/// What a sidecar says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SidecarFrame {
    /// First on every stream.
    Hello(Hello),
    /// The token was renewed.
    Auth(Token),
    /// A snapshot, or keys, are in force.
    Ack(Held),
    /// A snapshot, or keys, are refused; what was in force stays.
    Nack(Nack),
    /// What was learned of partners.
    Health(Health),
}

/// Who has connected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hello {
    /// The latest [`super::PROTOCOL`] that it reads.
    pub protocol: u32,
    /// Its version, for people.
    pub sidecar: String,
    /// What it has in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub have: Option<Held>,
}

/// What is in force: a snapshot with its keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Held {
    /// Version of the snapshot.
    pub snapshot: Version,
    /// Version of the keys.
    pub keys: Version,
}

/// A ServiceAccount token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token(Sensitive<String>);

impl Token {
    /// Takes a token into custody, without the white space around it.
    ///
    /// # Errors
    /// If it is empty, too long, or cannot stand in a header.
    pub fn new(text: &str) -> Result<Self, &'static str> {
        let text = text.trim_ascii();
        match text.len() {
            0 => Err("the token is empty"),
            1..=limits::TOKEN_BYTES if text.bytes().all(|byte| byte.is_ascii_graphic()) => {
                Ok(Self(Sensitive::new(text.to_owned())))
            }
            1..=limits::TOKEN_BYTES => Err("the token has a character that no token has"),
            _ => Err("the token is too long"),
        }
    }

    /// The token.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

/// Why something is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Nack {
    /// The version that is refused, of a snapshot or of keys.
    pub version: Version,
    /// Where the first mistake is, as in [`crate::invalid::Invalid::path`]; empty if it is all of it.
    pub path: String,
    /// What is wrong there.
    pub problem: String,
}

/// What the leader says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeaderFrame {
    /// The credentials of the scope. They come before a snapshot that names new ones, and come into force with it.
    Keys(KeysFor),
    /// The snapshot of the scope.
    Snapshot(Vec<u8>),
    /// What the sidecar has is what it should have.
    Unchanged,
    /// What others have learned of partners.
    Hint(Hint),
    /// The stream ends.
    GoAway(GoAway),
}

/// Credentials, with the snapshot that they belong to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeysFor {
    /// In force already, or the next frame.
    pub snapshot: Version,
    /// All credentials of the scope: what is not among them is gone.
    pub keys: Keys,
}

/// [`KeysFor`] as it travels.
#[derive(Serialize, Deserialize)]
struct WireKeysFor<'a> {
    snapshot: Version,
    #[serde(borrow)]
    keys: &'a RawValue,
}

/// Why a stream ends, and when another may be tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GoAway {
    /// Why.
    pub reason: GoAwayReason,
    /// Not earlier than this, in milliseconds, ± 50 %.
    pub retry_after_ms: u64,
}

/// Why a stream ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum GoAwayReason {
    /// Another replica leads.
    NotLeader,
    /// The process ends.
    ShuttingDown,
    /// The token has expired, or is not accepted any more.
    Unauthenticated,
    /// The Pod is gone.
    PodDeleted,
    /// The same Pod has opened another stream.
    Replaced,
    /// The sidecar did not keep to the protocol.
    Protocol,
    /// Another reason, of a later operator.
    #[serde(other)]
    Unknown,
}

/// What stands around every frame.
#[derive(Serialize, Deserialize)]
struct Envelope<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    epoch: Option<u64>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    body: Option<&'a RawValue>,
}

impl SidecarFrame {
    /// The frame, ready to be sent.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Hello(hello) => with_body("Hello", None, hello),
            Self::Auth(token) => with_body("Auth", None, token.expose()),
            Self::Ack(held) => with_body("Ack", None, held),
            Self::Nack(nack) => with_body("Nack", None, nack),
            Self::Health(health) => with_body("Health", None, health),
        }
    }

    /// Reads the JSON of one frame. `None`: a later sidecar says what this build has no ear for.
    ///
    /// # Errors
    /// If it is not JSON, or not what its type says.
    pub fn decode(json: &[u8]) -> Result<Option<Self>, InvalidFrame> {
        let envelope = open(json)?;
        Ok(Some(match envelope.kind.as_ref() {
            "Hello" => {
                let mut hello: Hello = envelope.read()?;
                tidy(&mut hello.sidecar);
                Self::Hello(hello)
            }
            "Auth" => {
                let text: String = envelope.read()?;
                let invalid =
                    |problem: &str| InvalidFrame::Value { kind: "Auth", problem: problem.to_owned() };
                Self::Auth(Token::new(&text).map_err(invalid)?)
            }
            "Ack" => Self::Ack(envelope.read()?),
            "Nack" => {
                let mut nack: Nack = envelope.read()?;
                tidy(&mut nack.path);
                tidy(&mut nack.problem);
                Self::Nack(nack)
            }
            "Health" => Self::Health(envelope.read::<Health>()?.bounded()),
            _ => return Ok(None),
        }))
    }
}

impl LeaderFrame {
    /// The frame, ready to be sent by the leader of `epoch`.
    #[must_use]
    pub fn encode(&self, epoch: u64) -> Vec<u8> {
        let epoch = Some(epoch);
        match self {
            Self::Keys(KeysFor { snapshot, keys }) => {
                let keys = keys.to_bytes();
                let keys = verbatim(keys.expose());
                with_body("Keys", epoch, &WireKeysFor { snapshot: snapshot.clone(), keys })
            }
            Self::Snapshot(document) => raw("Snapshot", epoch, document),
            Self::Unchanged => encode("Unchanged", epoch, None),
            Self::Hint(hint) => with_body("Hint", epoch, hint),
            Self::GoAway(away) => with_body("GoAway", epoch, away),
        }
    }

    /// Reads the JSON of one frame, and the epoch of the leader that sent it. `None`: a later operator says what this
    /// build has no ear for.
    ///
    /// # Errors
    /// If it is not JSON, or not what its type says. A snapshot is not judged here, only taken out.
    pub fn decode(json: &[u8]) -> Result<(u64, Option<Self>), InvalidFrame> {
        let envelope = open(json)?;
        let epoch = envelope.epoch.unwrap_or_default();
        let frame = match envelope.kind.as_ref() {
            "Keys" => Self::Keys(envelope.keys()?),
            "Snapshot" => Self::Snapshot(envelope.bytes().to_vec()),
            "Unchanged" => Self::Unchanged,
            "Hint" => Self::Hint(envelope.read::<Hint>()?.bounded()),
            "GoAway" => Self::GoAway(envelope.read()?),
            _ => return Ok((epoch, None)),
        };
        Ok((epoch, Some(frame)))
    }
}

impl Envelope<'_> {
    fn keys(&self) -> Result<KeysFor, InvalidFrame> {
        let WireKeysFor { snapshot, keys } =
            serde_json::from_slice(self.bytes()).map_err(|error| unreadable(&self.kind, &error))?;
        let invalid = |problems: Vec<Invalid>| {
            let problem = problems.first().map(ToString::to_string).unwrap_or_default();
            InvalidFrame::Value { kind: "Keys", problem }
        };
        Ok(KeysFor { snapshot, keys: Keys::from_bytes(keys.get().as_bytes()).map_err(invalid)? })
    }

    fn bytes(&self) -> &[u8] {
        self.body.map_or(b"null", |body| body.get().as_bytes())
    }

    fn read<T: DeserializeOwned>(&self) -> Result<T, InvalidFrame> {
        serde_json::from_slice(self.bytes()).map_err(|error| unreadable(&self.kind, &error))
    }
}

fn open(json: &[u8]) -> Result<Envelope<'_>, InvalidFrame> {
    serde_json::from_slice(json).map_err(|error| unreadable("", &error))
}

fn unreadable(kind: &str, error: &serde_json::Error) -> InvalidFrame {
    InvalidFrame::Body { kind: kind.to_owned(), line: error.line(), column: error.column() }
}

fn with_body<T: Serialize + ?Sized>(kind: &str, epoch: Option<u64>, body: &T) -> Vec<u8> {
    raw(kind, epoch, &serde_json::to_vec(body).expect("frames have string keys, and nothing that fails"))
}

fn raw(kind: &str, epoch: Option<u64>, body: &[u8]) -> Vec<u8> {
    encode(kind, epoch, Some(verbatim(body)))
}

fn verbatim(json: &[u8]) -> &RawValue {
    serde_json::from_slice(json).expect("made by a serialiser")
}

fn encode(kind: &str, epoch: Option<u64>, body: Option<&RawValue>) -> Vec<u8> {
    let envelope = Envelope { kind: Cow::Borrowed(kind), epoch, body };
    super::frame::encode(&serde_json::to_vec(&envelope).expect("an envelope serialises"))
}

/// Makes a remark of a sidecar's one short line: it ends in a status, and from there in somebody's terminal.
fn tidy(text: &mut String) {
    let plain = |character: char| if character.is_control() { ' ' } else { character };
    *text = text.chars().take(limits::REMARK_CHARS).map(plain).collect();
}
