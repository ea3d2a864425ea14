//! What the compiler found wrong: later a condition, an event, a metric label or a line of `chaperone check`.

use std::collections::BTreeSet;
use std::fmt;

use crate::world::ObjectKey;

/// One thing that a user should know about one object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// Whose it is.
    pub object: ObjectRef,
    /// Where in the object, as `spec.targets[0].partner`.
    pub path: String,
    /// Whether it must be repaired.
    pub severity: Severity,
    /// What kind of mistake it is.
    pub reason: Reason,
    /// What is wrong: lower case, no full stop.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
}

/// An object of ours.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectRef {
    /// Its kind.
    pub kind: Kind,
    /// Where it stands.
    pub key: ObjectKey,
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.kind.as_str(), self.key)
    }
}

/// The kinds that have findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A provider.
    Partner,
    /// The rules of an alias.
    ModelRoute,
    /// A budget.
    TenantQuota,
}

impl Kind {
    /// As in `kind:`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Partner => "Partner",
            Self::ModelRoute => "ModelRoute",
            Self::TenantQuota => "TenantQuota",
        }
    }
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The object is not ready before it is repaired.
    Error,
    /// It works, but probably not as meant.
    Warning,
}

impl Severity {
    /// For people and machines alike.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident: $severity:ident,)*) => {
        /// The kinds of mistakes, as in the `reason` of a condition.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason { $($(#[$doc])* $name,)* }

        impl Reason {
            /// Every reason there is.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The stable code.
            #[must_use]
            pub fn code(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }

            /// How bad a mistake of this kind is.
            #[must_use]
            pub fn severity(self) -> Severity {
                match self { $(Self::$name => Severity::$severity,)* }
            }
        }
    };
}

reasons! {
    /// A value that the schema admits and the product does not.
    InvalidValue: Error,
    /// A reference to a partner that does not exist.
    UnknownPartner: Error,
    /// A reference to a partner that is itself refused.
    PartnerRefused: Error,
    /// A reference to a model that the partner does not have.
    UnknownModel: Error,
    /// A reference without a model to a partner with several models and no default.
    NoDefaultModel: Error,
    /// The partner's owner does not admit this namespace.
    NamespaceNotAllowed: Error,
    /// Two routes of one namespace have one alias.
    AliasClash: Error,
    /// A route of another namespace is hidden by one with its alias.
    AliasShadowed: Warning,
    /// Partners fall back to each other.
    FallbackCycle: Error,
    /// One target stands twice in a list.
    DuplicateTarget: Error,
    /// A target lacks a capability that the route requires.
    MissingCapability: Error,
    /// A fallback has a smaller context than a target.
    SmallerContext: Error,
    /// A fallback answers shorter than the route promises.
    SmallerOutput: Error,
    /// The vectors of two models do not compare.
    MixedEmbeddings: Error,
    /// The adapter does not have the endpoint.
    PairAbsent: Error,
    /// A model claims what its adapter cannot serve.
    CapabilityUnserved: Warning,
    /// The partner does not take data of this class.
    DataClass: Error,
    /// A pattern of the user's own that is none, or is too large.
    InvalidPattern: Error,
    /// Somebody switched redaction off.
    NothingRedacted: Warning,
    /// The filter that a Partner wrote is not possible with data of this class.
    FilterRaised: Warning,
    /// There is no such Secret.
    SecretMissing: Error,
    /// The Secret is there, without the label that lets it be read.
    SecretNotLabelled: Error,
    /// The Secret does not have this key.
    SecretKeyMissing: Error,
    /// What the Secret has under this key is nothing that a header can carry.
    SecretKeyInvalid: Error,
    /// There is no such ConfigMap.
    ConfigMapMissing: Error,
    /// The ConfigMap is there, without the label that lets it be read.
    ConfigMapNotLabelled: Error,
    /// The ConfigMap does not have this key.
    ConfigMapKeyMissing: Error,
    /// Not a certificate in PEM.
    InvalidCertificate: Error,
    /// An address that must not be dialled.
    ForbiddenAddress: Error,
    /// A name that resolves inside the cluster, without leave to go there.
    PrivateName: Warning,
    /// `http://` without leave.
    Plaintext: Error,
    /// An analyzer outside of the Pod that is not shown who asks.
    NoClientCertificate: Error,
    /// A Partner of another namespace names an analyzer that the route does not.
    AnalyzerNotShared: Error,
    /// Two TenantQuotas of one namespace name one tenant.
    TenantClash: Error,
    /// A TenantQuota of another namespace is hidden by one that names its tenant.
    TenantShadowed: Warning,
    /// A limit that can never be reached.
    TimeoutOrder: Warning,
    /// A rate that every sidecar holds by itself.
    RatePerSidecar: Warning,
    /// A model that thinks before it speaks has the first-token limit of one that does not.
    ReasoningFirstToken: Warning,
    /// A fault for a partner that the route never asks.
    FaultUnreachable: Error,
    /// More than a snapshot may hold.
    LimitExceeded: Error,
}

/// Collects findings. Sorted and without repeats, so that the order of work does not show.
#[derive(Debug, Default)]
pub(crate) struct Findings(BTreeSet<Finding>);

impl Findings {
    /// Notes what is wrong with `object` at `path`.
    pub(crate) fn add(&mut self, object: &ObjectRef, path: impl Into<String>, problem: Problem) {
        let Problem { reason, message, remedy } = problem;
        let object = object.clone();
        self.0.insert(Finding {
            object,
            path: path.into(),
            severity: reason.severity(),
            reason,
            message,
            remedy,
        });
    }

    pub(crate) fn into_sorted(self) -> Vec<Finding> {
        self.0.into_iter().collect()
    }
}

/// A mistake before it is known whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) reason: Reason,
    pub(crate) message: String,
    pub(crate) remedy: String,
}

impl Problem {
    pub(crate) fn new(reason: Reason, message: impl fmt::Display, remedy: impl fmt::Display) -> Self {
        Self { reason, message: message.to_string(), remedy: remedy.to_string() }
    }
}

/// Notes findings of one object, and remembers the first error: the text by which the object is refused.
#[derive(Debug)]
pub(crate) struct Notes<'f> {
    object: ObjectRef,
    findings: &'f mut Findings,
    refusal: Option<String>,
}

impl<'f> Notes<'f> {
    pub(crate) fn of(kind: Kind, key: &ObjectKey, findings: &'f mut Findings) -> Self {
        Self { object: ObjectRef { kind, key: key.clone() }, findings, refusal: None }
    }

    /// Notes a problem. An error refuses the object.
    pub(crate) fn add(&mut self, path: impl Into<String>, problem: Problem) {
        let path = path.into();
        if problem.reason.severity() == Severity::Error && self.refusal.is_none() {
            self.refusal = Some(format!("{path}: {}; {}", problem.message, problem.remedy));
        }
        self.findings.add(&self.object, path, problem);
    }

    /// Notes a problem that leaves the object usable.
    pub(crate) fn add_usable(&mut self, path: impl Into<String>, problem: Problem) {
        self.findings.add(&self.object, path, problem);
    }

    /// Keeps the value, or notes the problem.
    pub(crate) fn keep<T>(&mut self, path: impl Into<String>, value: Result<T, Problem>) -> Option<T> {
        value.map_err(|problem| self.add(path, problem)).ok()
    }

    /// The value, unless an error was noted.
    pub(crate) fn finish<T>(self, value: Option<T>) -> Result<T, String> {
        match (value, self.refusal) {
            (Some(value), None) => Ok(value),
            (_, refusal) => Err(refusal.unwrap_or_else(|| "is incomplete".to_owned())),
        }
    }
}
