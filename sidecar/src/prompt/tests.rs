use super::*;

fn read(api: ClientApi, body: &'static str) -> Result<Prompt, Refusal> {
    Prompt::read(api, &HeaderMap::new(), Bytes::from_static(body.as_bytes()))
}

fn refused(api: ClientApi, body: &'static str) -> String {
    let refusal = read(api, body).unwrap_err();
    assert_eq!(refusal.reason, Reason::InvalidRequest, "{body}");
    refusal.message
}

#[test]
fn a_chat_request_is_read() {
    let body = r#"{"model":"fast-\u0074ext","messages":[{"role":"user","content":"hello"}],"stream":true,
        "stream_options":{"include_usage":true},"max_tokens":9,"max_completion_tokens":7}"#;
    let prompt = read(ClientApi::ChatCompletions, body).unwrap();
    assert_eq!(prompt.alias(), "fast-text");
    assert!(prompt.is_streaming());
    assert_eq!(prompt.usage(), UsageChunk::Wanted);
    assert_eq!(prompt.limit(), Some(Tokens(7)));
    assert_eq!(prompt.estimate(), Tokens(body.len() as u64));
    assert!((4..20).contains(&prompt.likely_tokens().0));
    assert!(!format!("{prompt:?}").contains("hello"));
}

#[test]
fn f45_routed_values_have_their_types() {
    use ClientApi::{ChatCompletions, Embeddings, Infer};
    let cases = [
        (ChatCompletions, r#"{"messages":[]}"#, "`model` is missing"),
        (ChatCompletions, r#"{"model":7,"messages":[]}"#, "`model` must be a string"),
        (ChatCompletions, r#"{"model":null,"messages":[]}"#, "`model` must be a string"),
        (ChatCompletions, r#"{"model":"","messages":[]}"#, "`model` must have 1 to"),
        (ChatCompletions, r#"{"model":"a"}"#, "`messages` is missing"),
        (ChatCompletions, r#"{"model":"a","messages":{}}"#, "`messages` must be an array"),
        (ChatCompletions, r#"{"model":"a","messages":[],"stream":1}"#, "`stream` must be true or false"),
        (ChatCompletions, r#"{"model":"a","messages":[],"stream_options":1}"#, "must be an object"),
        (ChatCompletions, r#"{"model":"a","messages":[],"max_tokens":0}"#, "`max_tokens` must be a positive"),
        (ChatCompletions, r#"{"model":"a","messages":[],"max_tokens":1.5}"#, "must be a positive integer"),
        (ChatCompletions, r#"{"model":"a","messages":[],"max_tokens":"9"}"#, "must be a positive integer"),
        (ChatCompletions, r#"{"model":"a","messages":[],"max_tokens":-1}"#, "must be a positive integer"),
        (ChatCompletions, r#"{"model":"a","messages":[],"base_url":null}"#, "must not have `base_url`"),
        (ChatCompletions, r#"{"model":"a","messages":[],"messages":[]}"#, "has `messages` more than once"),
        (ChatCompletions, r#"{"model":"a","messages":[{"role":"user","role":"user"}]}"#, "has `role` more"),
        (Infer, r#"{"modelId":"a","parameters":{"api_base":1}}"#, "must not have `api_base`"),
        (Infer, r#"{"model":"a"}"#, "`modelId` is missing"),
        (Embeddings, r#"["model"]"#, "must be a JSON object"),
        (Embeddings, "null", "must be a JSON object"),
        (Embeddings, r#"{"model":"canary"#, "ends too early"),
    ];
    for (api, body, expected) in cases {
        let message = refused(api, body);
        assert!(message.contains(expected), "{body}: {message}");
        assert!(!message.contains("canary"));
    }
}

#[test]
fn an_unknown_member_is_no_business_of_ours() {
    let body = r#"{"model":"a","messages":[{"role":"user","content":[{"type":"new","x":1,"x":2}]}],
        "new":{"model":1,"model":2}}"#;
    assert!(read(ClientApi::ChatCompletions, body).is_ok());
}

#[test]
fn what_cannot_stream_does_not() {
    assert!(
        !read(ClientApi::Embeddings, r#"{"model":"a","input":"x","stream":true}"#).unwrap().is_streaming()
    );
}

#[test]
fn metadata_is_read_for_infer_alone() {
    let body = r#"{"modelId":"a","model":"a","prompt":"x","messages":[],
        "metadata":{"tenantId":"acme","userId":"u-1","correlationId":"c-1"}}"#;
    let prompt = read(ClientApi::Infer, body).unwrap();
    let ids = (prompt.tenant(), prompt.correlation_id());
    assert_eq!(ids, (Some("acme"), Some("c-1")));
    assert_eq!(read(ClientApi::ChatCompletions, body).unwrap().tenant(), None);
    let odd = r#"{"modelId":"a","metadata":{"tenantId":7}}"#;
    assert_eq!(refused(ClientApi::Infer, odd), "`metadata.tenantId` must be a string");
}

#[test]
fn a_body_that_is_encoded_or_not_json_is_refused() {
    let cases = [
        ("content-encoding", "gzip", false),
        ("content-encoding", "identity", true),
        ("content-type", "application/json; charset=utf-8", true),
        ("content-type", "application/jsonp", false),
        ("content-type", "text/plain", false),
    ];
    for (name, value, is_taken) in cases {
        let headers = HeaderMap::from_iter([(name.parse().unwrap(), value.parse().unwrap())]);
        let body = Bytes::from_static(br#"{"model":"a","input":"x"}"#);
        match Prompt::read(ClientApi::Embeddings, &headers, body) {
            Ok(_) => assert!(is_taken, "{value}"),
            Err(refusal) => assert!(!is_taken && refusal.reason == Reason::UnsupportedMediaType),
        }
    }
}
