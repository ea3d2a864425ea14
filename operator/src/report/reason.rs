//! From what the compiler found to the condition that says so.

use chaperone_crds::condition::ConditionReason;

use crate::compile::Reason;

/// Which condition a finding belongs to, and as what.
enum Place {
    Accepted(ConditionReason),
    ResolvedRefs(ConditionReason),
}

/// The reason of `Accepted`, if the finding belongs there.
pub(super) fn not_accepted(reason: Reason) -> Option<ConditionReason> {
    match place(reason) {
        Place::Accepted(reason) => Some(reason),
        Place::ResolvedRefs(_) => None,
    }
}

/// The reason of `ResolvedRefs`, if the finding belongs there.
pub(super) fn not_resolved(reason: Reason) -> Option<ConditionReason> {
    match place(reason) {
        Place::ResolvedRefs(reason) => Some(reason),
        Place::Accepted(_) => None,
    }
}

fn place(reason: Reason) -> Place {
    match reason {
        Reason::UnknownPartner
        | Reason::UnknownModel
        | Reason::NoDefaultModel
        | Reason::SecretMissing
        | Reason::SecretKeyMissing
        | Reason::ConfigMapMissing
        | Reason::ConfigMapKeyMissing => Place::ResolvedRefs(ConditionReason::NotFound),
        Reason::SecretNotLabelled | Reason::ConfigMapNotLabelled => {
            Place::ResolvedRefs(ConditionReason::NotLabelled)
        }
        Reason::NamespaceNotAllowed => Place::ResolvedRefs(ConditionReason::RefNotPermitted),
        Reason::SecretKeyInvalid | Reason::InvalidCertificate => {
            Place::ResolvedRefs(ConditionReason::InvalidKind)
        }
        Reason::PartnerRefused => Place::ResolvedRefs(ConditionReason::RefNotAccepted),
        Reason::AliasClash | Reason::AliasShadowed => Place::Accepted(ConditionReason::AliasConflict),
        Reason::TenantClash | Reason::TenantShadowed => Place::Accepted(ConditionReason::TenantConflict),
        Reason::FallbackCycle => Place::Accepted(ConditionReason::FallbackCycle),
        Reason::MissingCapability
        | Reason::SmallerContext
        | Reason::SmallerOutput
        | Reason::MixedEmbeddings
        | Reason::PairAbsent
        | Reason::CapabilityUnserved
        | Reason::DataClass => Place::Accepted(ConditionReason::Unfit),
        Reason::InvalidValue
        | Reason::DuplicateTarget
        | Reason::ForbiddenAddress
        | Reason::PrivateName
        | Reason::Plaintext
        | Reason::NoClientCertificate
        | Reason::AnalyzerNotShared
        | Reason::InvalidPattern
        | Reason::NothingRedacted
        | Reason::FilterRaised
        | Reason::TimeoutOrder
        | Reason::RatePerSidecar
        | Reason::FaultUnreachable
        | Reason::ReasoningFirstToken
        | Reason::LimitExceeded => Place::Accepted(ConditionReason::Invalid),
    }
}
