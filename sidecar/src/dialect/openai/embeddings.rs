//! Embeddings, as the Mock serves them. Partners get them by passthrough only.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chaperone_protocol::units::Tokens;
use serde::Serialize;

use crate::dialect::read::{Kind, Object, Value, invalid};
use crate::neutral::Foreign;
use crate::refusal::Refusal;

/// Texts that one request may turn into vectors, as with the provider.
const INPUTS: usize = 2048;
/// The longest vector of the provider's models.
const DIMENSIONS: u64 = 3072;

/// What a client asks for.
pub(crate) struct Request {
    pub(crate) inputs: Vec<String>,
    pub(crate) dimensions: Option<usize>,
    pub(crate) encoding: Encoding,
    /// Members that nobody knows.
    pub(crate) foreign: Vec<Foreign>,
}

/// How a vector is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Float,
    /// Little-endian `f32`: what the official SDKs ask for by default.
    Base64,
}

/// Reads `POST /v1/embeddings`.
///
/// # Errors
/// What the dialect does not allow; token ids, which only their own model can read.
pub(crate) fn decode_request(body: &[u8]) -> Result<Request, Refusal> {
    let mut members = Object::body(body)?;
    let inputs = inputs(&members.need("input")?)?;
    members.take("model")?;
    members.take("user")?;
    let at = members.at("dimensions");
    let dimensions = members.tokens("dimensions")?.map(|dimensions| dimensions.0);
    if dimensions.is_some_and(|dimensions| dimensions > DIMENSIONS) {
        return Err(invalid(&at, &format!("must be at most {DIMENSIONS}")));
    }
    let at = members.at("encoding_format");
    let encoding = match members.text("encoding_format")?.as_deref() {
        None | Some("float") => Encoding::Float,
        Some("base64") => Encoding::Base64,
        Some(_) => return Err(invalid(&at, "must be float or base64")),
    };
    let foreign = members.rest().map(|value| super::message::meaning(value.path, None)).collect();
    let dimensions = dimensions.and_then(|dimensions| usize::try_from(dimensions).ok());
    Ok(Request { inputs, dimensions, encoding, foreign })
}

fn inputs(input: &Value<'_>) -> Result<Vec<String>, Refusal> {
    if input.kind() == Kind::Text {
        return Ok(vec![input.text()?]);
    }
    let items = input.items()?;
    if items.is_empty() || items.len() > INPUTS {
        return Err(invalid(&input.path, &format!("must have from 1 to {INPUTS} texts")));
    }
    items
        .iter()
        .map(|item| item.text().map_err(|_| invalid(&item.path, "must be text: token ids cannot be carried")))
        .collect()
}

#[derive(Serialize)]
struct List<'a> {
    object: &'static str,
    data: Vec<Entry>,
    model: &'a str,
    usage: Usage,
}

#[derive(Serialize)]
struct Entry {
    object: &'static str,
    index: usize,
    embedding: Vector,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Vector {
    Float(Vec<f32>),
    Base64(String),
}

#[derive(Serialize)]
struct Usage {
    prompt_tokens: Tokens,
    total_tokens: Tokens,
}

/// Writes `vectors`, which are in the order of the inputs.
pub(crate) fn encode(vectors: Vec<Vec<f32>>, encoding: Encoding, model: &str, prompt: Tokens) -> Vec<u8> {
    let entry = |(index, vector): (usize, Vec<f32>)| {
        let embedding = match encoding {
            Encoding::Float => Vector::Float(vector),
            Encoding::Base64 => {
                let bytes: Vec<u8> = vector.iter().flat_map(|value| value.to_le_bytes()).collect();
                Vector::Base64(STANDARD.encode(bytes))
            }
        };
        Entry { object: "embedding", index, embedding }
    };
    let list = List {
        object: "list",
        data: vectors.into_iter().enumerate().map(entry).collect(),
        model,
        usage: Usage { prompt_tokens: prompt, total_tokens: prompt },
    };
    let mut body = Vec::new();
    super::encoder::write(&list, &mut body);
    body
}
