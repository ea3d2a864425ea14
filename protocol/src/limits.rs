//! Every bound that operator or sidecar obeys. A bound that only one side knows would drift from the other's.

use std::time::Duration;

/// Partners in one scope's snapshot.
pub const PARTNERS: usize = 256;
/// Routes in one scope's snapshot.
pub const ROUTES: usize = 1_000;
/// Models of one partner.
pub const MODELS: usize = 128;
/// Weighted targets of one route.
pub const TARGETS: usize = 16;
/// Fallbacks behind one target.
pub const FALLBACKS: usize = 16;
/// Declared faults of one route.
pub const FAULTS: usize = 16;
/// Named tenants in one scope's snapshot.
pub const TENANTS: usize = 10_000;
/// Tenants that an app may invent under `*`: each gets a budget and a label of its own.
pub const INVENTED_TENANTS: usize = 1_000;
/// Bytes of one serialised snapshot.
pub const SNAPSHOT_BYTES: usize = 1 << 20;
/// Bytes of one credential, certificate chain or private key.
pub const CREDENTIAL_BYTES: usize = 256 << 10;
/// Bytes of all credentials of one scope, serialised.
pub const KEYS_BYTES: usize = 2 << 20;
/// Bytes of one frame to a sidecar: a snapshot or all keys, and what stands around them.
pub const LEADER_FRAME_BYTES: usize = KEYS_BYTES + (64 << 10);
/// Bytes of one frame from a sidecar.
pub const SIDECAR_FRAME_BYTES: usize = 64 << 10;
/// Bytes of the authorities that a snapshot names for the feed, in PEM: two while one follows the other.
pub const FEED_CA_BYTES: usize = 32 << 10;
/// Bytes of a ServiceAccount token.
pub const TOKEN_BYTES: usize = 16 << 10;
/// Characters of what a sidecar says about itself or about what it refuses; longer texts are cut.
pub const REMARK_CHARS: usize = 1_024;
/// Partners, and credentials, that a sidecar reports on or hears of at a time; of more, the first by name.
pub const HEALTH_ENTRIES: usize = 32;

/// Characters of a name that comes from an object's metadata (RFC 1123 subdomain).
pub const NAME_CHARS: usize = 253;
/// Characters of an alias or a model name.
pub const MODEL_NAME_CHARS: usize = 128;
/// Characters of a tenant.
pub const TENANT_CHARS: usize = 128;
/// Characters of a request id, correlation id or user id: longer ones are replaced.
pub const ID_CHARS: usize = 128;

/// Bytes of a request's body, unless a flag says otherwise.
pub const BODY_BYTES: usize = 32 << 20;
/// Bytes of all bodies that one sidecar holds at a time, unless a flag says otherwise.
pub const BODY_MEMORY_BYTES: usize = 128 << 20;
/// Bytes of a partner's whole answer, decoded or not.
pub const ANSWER_BYTES: usize = 32 << 20;
/// Bytes of a partner's error body that are read before it is classified.
pub const ERROR_BODY_BYTES: usize = 64 << 10;
/// How many times larger than received a compressed answer may become.
pub const INFLATION_RATIO: usize = 20;
/// Nesting of JSON in a body.
pub const JSON_DEPTH: usize = 64;
/// Object members in one body, all levels counted.
pub const JSON_KEYS: usize = 10_000;
/// Header fields of a request.
pub const HEADER_FIELDS: usize = 64;
/// Bytes of a request's head.
pub const HEAD_BYTES: usize = 32 << 10;
/// Bytes of one line of an event stream, field name and line end included.
pub const SSE_LINE_BYTES: usize = 64 << 10;
/// Bytes of one event of an event stream, every byte counted.
pub const SSE_EVENT_BYTES: usize = 1 << 20;
/// Bytes that wait for a slow reader in the app before its stream is cancelled.
pub const RELAY_BUFFER_BYTES: usize = 256 << 10;
/// Content blocks, and tool calls, in one answer.
pub const ANSWER_BLOCKS: usize = 256;
/// Answers that are read on after their apps have left, so that their cost is known. Beyond, they are cancelled.
pub const ABANDONED_ANSWERS: usize = 16;
/// How long such an answer is read on.
pub const ABANDONED: Duration = Duration::from_secs(30);
/// Turns whose thoughts a sidecar keeps for apps that do not send them back.
pub const THOUGHTS: usize = 1_024;
/// Bytes of the thoughts of one turn that is kept.
pub const THOUGHT_BYTES: usize = 256 << 10;
/// Bytes of all thoughts that are kept.
pub const THOUGHTS_BYTES: usize = 8 << 20;
/// How long they are kept. A chain of calls takes minutes; a person who must allow one, longer.
pub const THOUGHT_LIFE: Duration = Duration::from_secs(30 * 60);
/// Attempts of one request.
pub const ATTEMPTS: u32 = 10;
/// Longest first wait of a breaker before its probe; also what it grows to.
pub const BREAKER_RESET: Duration = Duration::from_secs(60);
/// Longest wait that a partner can ask us for by `Retry-After`.
pub const RETRY_AFTER: Duration = Duration::from_secs(300);
/// Requests that wait for one partner.
pub const QUEUE_REQUESTS: usize = 4_096;
/// Bytes of the bodies of those.
pub const QUEUE_BYTES: usize = 32 << 20;
/// Label sets of one metric family; what comes later is counted under `_other`.
pub const METRIC_SERIES: usize = 2_000;
/// JSON objects in one review of a Pod. A Pod with 2,000 environment variables has 10,000, most of them in
/// `managedFields`. An empty one takes two bytes of JSON, and as a volume 2.8 kB of memory.
pub const REVIEW_OBJECTS: usize = 16_384;
/// JSON values of any kind in one review of a Pod.
pub const REVIEW_VALUES: usize = 65_536;
/// Largest integer that every JSON parser keeps: 2^53 - 1.
pub const JSON_INTEGER: u64 = (1 << 53) - 1;

/// Values that a redaction policy may exempt.
pub const PII_ALLOW: usize = 64;
/// Patterns of the users' own in one redaction policy.
pub const PII_CUSTOM: usize = 32;
/// Bytes of such a pattern. What it compiles to is bounded apart.
pub const PII_PATTERN_BYTES: usize = 4 * 512;
/// Context words of such a pattern.
pub const PII_CONTEXT: usize = 16;
/// Characters that a mask may leave at the end of a number.
pub const PII_KEEP_LAST: u8 = 4;
/// Texts of one answer that are rewritten at once: choices, blocks and tool calls.
pub const PII_CHANNELS: usize = 64;
/// Analyzers that are asked for one request: one of the Partner, one of the route.
pub const PII_ANALYZERS: usize = 2;
/// Longest that an analyzer may be given for one question: half of what all questions of a request may take, so that one
/// that hangs is found out before the request gives up.
pub const PII_ANALYZER_TIMEOUT: Duration = Duration::from_secs(10);
/// Characters of the name of a language.
pub const PII_LANGUAGE_CHARS: usize = 16;
/// Bytes of text that an analyzer is asked about at once: it reads about 12 kB/s, so this takes it a third of a second.
pub const PII_QUESTION_BYTES: usize = 4 << 10;
/// Bytes of text of one request that an analyzer is asked about. A request with more is not sent.
pub const PII_ANALYZED_BYTES: usize = 256 << 10;
/// Different texts of a request that analyzers are asked about: what is done for each is done between two steps.
pub const PII_ANALYZED_TEXTS: usize = 2048;
/// Bytes of an analyzer's answer to one question.
pub const PII_FINDINGS_BYTES: usize = 256 << 10;
/// Questions that one analyzer is asked at a time; the others wait.
pub const PII_QUESTIONS: usize = 4;
