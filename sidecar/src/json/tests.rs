use proptest::prelude::*;

use super::*;

const INNER: Place = Place(1);
const ITEMS: Place = Place(2);
const ITEM: Place = Place(3);

const MAP: Map = Map {
    rules: &[
        Rule { at: ROOT, key: "model", then: ELSEWHERE, want: Want::Range },
        Rule { at: ROOT, key: "inner", then: INNER, want: Want::Range },
        Rule { at: ROOT, key: "items", then: ITEMS, want: Want::Once },
        Rule { at: ROOT, key: "api_base", then: ELSEWHERE, want: Want::Absent },
        Rule { at: INNER, key: "flag", then: ELSEWHERE, want: Want::Range },
        Rule { at: ITEM, key: "role", then: ELSEWHERE, want: Want::Among(&["developer"]) },
        Rule { at: ITEM, key: "content", then: ITEMS, want: Want::Once },
    ],
    elements: &[(ITEMS, ITEM)],
};

fn problem(text: &[u8]) -> Problem {
    skim(text, &MAP).unwrap_err().problem
}

fn joined(pieces: &[Bytes]) -> Vec<u8> {
    pieces.concat()
}

#[test]
fn f45_what_parsers_would_read_differently_is_refused() {
    let deep = [b"[".repeat(100_000), b"]".repeat(100_000)].concat();
    let keys = format!("{{{}}}", vec!["\"k\":1"; 1_000_000].join(","));
    let long = format!("[1{}]", "0".repeat(400));
    let nested = br#"{"a":"#.repeat(100_000);
    let cases: &[(&[u8], Problem)] = &[
        (&deep, Problem::Depth),
        (&nested, Problem::Depth),
        (keys.as_bytes(), Problem::Keys),
        (br#"{"model":"a","model":"a"}"#, Problem::Duplicate("model")),
        (br#"{"model":"a","mod\u0065l":"b"}"#, Problem::Duplicate("model")),
        (br#"{"items":[{"content":1,"\u0063ontent":2}]}"#, Problem::Duplicate("content")),
        (br#"{"inner":{"flag":1,"flag":1}}"#, Problem::Duplicate("flag")),
        (br#"{"api_base":null}"#, Problem::Forbidden("api_base")),
        (br#"{"api\u005fbase":1}"#, Problem::Forbidden("api_base")),
        (br#"{"a":1e999}"#, Problem::Infinite),
        (br#"{"a":-1e999}"#, Problem::Infinite),
        (long.as_bytes(), Problem::Infinite),
        (br#"["\ud800"]"#, Problem::Surrogate),
        (br#"["\udc00\ud800"]"#, Problem::Surrogate),
        (br#"["\ud800\u0041"]"#, Problem::Surrogate),
        (br#"["\ud800x"]"#, Problem::Surrogate),
        (b"\xef\xbb\xbf{}", Problem::ByteOrderMark),
        (b"[\"\xff\"]", Problem::Utf8),
        (b"[\"\xed\xa0\x80\"]", Problem::Utf8),
        (b"[\"a\nb\"]", Problem::Control),
        (br#"["\x41"]"#, Problem::Escape),
        (br#"["\u00g0"]"#, Problem::Escape),
        (br#"["\u+041"]"#, Problem::Escape),
        (b"", Problem::End),
        (b"  ", Problem::End),
        (b"{", Problem::End),
        (b"[1", Problem::End),
        (b"{\"a\"", Problem::End),
        (b"\"a", Problem::End),
        (b"{} {}", Problem::Trailing),
        (b"[1,]", Problem::Unexpected),
        (b"{\"a\":1,}", Problem::Unexpected),
        (b"{a:1}", Problem::Unexpected),
        (b"[NaN]", Problem::Unexpected),
        (b"[01]", Problem::Unexpected),
        (b"[1.]", Problem::Number),
        (b"[-]", Problem::Number),
        (b"[+1]", Problem::Unexpected),
        (b"[.5]", Problem::Unexpected),
        (b"[1e]", Problem::Number),
        (b"[tru]", Problem::Unexpected),
        (b"\x0b[]", Problem::Unexpected),
    ];
    for (text, expected) in cases {
        let shown = String::from_utf8_lossy(&text[..text.len().min(40)]).into_owned();
        assert_eq!(problem(text), *expected, "{shown}");
    }
}

#[test]
fn the_limits_themselves_are_allowed() {
    let deep = [b"[".repeat(64), b"]".repeat(64)].concat();
    assert!(skim(&deep, &MAP).is_ok());
    assert_eq!(problem(&[b"[".repeat(65), b"]".repeat(65)].concat()), Problem::Depth);
    let keys = |count| format!("{{{}}}", vec!["\"k\":1"; count].join(","));
    assert!(skim(keys(10_000).as_bytes(), &MAP).is_ok());
    assert_eq!(problem(keys(10_001).as_bytes()), Problem::Keys);
}

#[test]
fn ranges_and_trails_are_those_of_the_source() {
    let text = br#" { "model" : "x\u0041" , "inner":{"flag":true},"items":[{},{"role":"developer"},{"role":"user"}]}"#;
    let skim = skim(text, &MAP).unwrap();
    let model = skim.get(ROOT, "model").unwrap();
    assert_eq!(&text[model.key.clone()], br#""model""#);
    assert_eq!(&text[model.value.clone()], br#""x\u0041""#);
    assert_eq!(skim.get(INNER, "flag").unwrap().kind, Kind::True);
    let roles: Vec<_> = skim.all(ITEM, "role").map(|member| member.trail.clone()).collect();
    assert_eq!(roles, [vec![1]]);
    assert_eq!(skim.counts[ITEM.0], 3);
}

#[test]
fn a_splice_changes_its_ranges_and_no_other_byte() {
    let body = Bytes::from_static(br#"{"a": 1, "model" : "x" ,"z":[1.50]}"#);
    let skim = skim(&body, &MAP).unwrap();
    let model = skim.get(ROOT, "model").unwrap().clone();
    let replaced = splice(
        &body,
        vec![Edit::new(model.value.clone(), quote("n\"e")), Edit::insert(&body, 0, "\"max_tokens\":5")],
    );
    assert_eq!(joined(&replaced), br#"{"max_tokens":5,"a": 1, "model" : "n\"e" ,"z":[1.50]}"#);
    assert_eq!(joined(&splice(&body, vec![Edit::cut(&body, &model)])), br#"{"a": 1 ,"z":[1.50]}"#);
    assert_eq!(joined(&splice(&body, Vec::new())), body);
    // The kept pieces are slices of the body, not copies.
    assert_eq!(splice(&body, Vec::new())[0].as_ptr(), body.as_ptr());
}

#[test]
fn a_cut_takes_exactly_one_comma() {
    let cases: &[(&str, &str)] = &[
        (r#"{"model":null}"#, "{}"),
        (r#"{"model":null,"a":1}"#, r#"{"a":1}"#),
        (r#"{ "model":null , "a":1}"#, r#"{  "a":1}"#),
        (r#"{"a":1,"model":null}"#, r#"{"a":1}"#),
        (r#"{"a":1, "model":null ,"b":2}"#, r#"{"a":1 ,"b":2}"#),
    ];
    for (text, expected) in cases {
        let body = Bytes::from_static(text.as_bytes());
        let skim = skim(&body, &MAP).unwrap();
        let edit = Edit::cut(&body, skim.get(ROOT, "model").unwrap());
        assert_eq!(String::from_utf8(joined(&splice(&body, vec![edit]))).unwrap(), *expected);
    }
}

#[test]
fn an_insert_into_an_empty_object_has_no_comma() {
    let body = Bytes::from_static(b"{ }");
    assert_eq!(joined(&splice(&body, vec![Edit::insert(&body, 0, "\"a\":1")])), b"{\"a\":1 }");
}

fn value() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        any::<String>().prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            prop::collection::btree_map(any::<String>(), inner, 0..4)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn what_serde_writes_is_accepted(value in value()) {
        prop_assert!(skim(value.to_string().as_bytes(), &MAP).is_ok());
    }

    #[test]
    fn what_is_accepted_serde_reads(bytes in prop::collection::vec(
        prop::sample::select(b"{}[]:,\"\\u0d8DcC1e.-+ tnrfalse\n".to_vec()), 0..24)) {
        if skim(&bytes, &MAP).is_ok() {
            prop_assert!(serde_json::from_slice::<serde_json::Value>(&bytes).is_ok());
        }
    }

    #[test]
    fn a_text_is_unescaped_to_what_was_quoted(text in any::<String>()) {
        let quoted = quote(&text);
        prop_assert_eq!(unescape(quoted.get(1..quoted.len() - 1).unwrap()), text);
    }
}
