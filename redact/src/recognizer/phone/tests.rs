use crate::{Entity, Filter, Policy, PolicySpec, Query, find};

fn phones(text: &str) -> Vec<&str> {
    let spec =
        PolicySpec { filter: Filter::Balanced, entities: Some(vec![Entity::Phone]), ..PolicySpec::default() };
    let policy = Policy::compile(&spec).unwrap();
    let spans = find(text, &Query::new(&policy)).unwrap().spans;
    spans.iter().map(|span| text.get(span.range.clone()).unwrap()).collect()
}

#[test]
fn a_subscriber_s_zero_is_usual_behind_a_mobile_prefix_and_needs_a_cue_behind_others() {
    for text in ["07400 012345", "0170 0123456", "0612 034567", "0412 034567", "Tel. 0301 012345"] {
        assert_eq!(phones(text), [text.trim_start_matches("Tel. ")], "{text}");
    }
    for text in ["CAB/ABI 03002 03280", "0301 012345", "from 0812-034567 on"] {
        assert_eq!(phones(text), Vec::<&str>::new(), "{text}");
    }
}

#[test]
fn a_plus_counts_encoded_and_glued_to_the_word_for_a_telephone() {
    for (text, wanted) in [
        ("phone=%2B12125550187&x=1", "%2B12125550187"),
        ("to=%2b44-7400-012345", "%2b44-7400-012345"),
        ("<td>&#43;49 30 901820</td>", "&#43;49 30 901820"),
        ("<td>&#x2B;4930901820</td>", "&#x2B;4930901820"),
        ("<td>&plus;1 212 555 0187</td>", "&plus;1 212 555 0187"),
        ("Tel+442071838750", "+442071838750"),
        ("Fax+49 30 901820, Berlin", "+49 30 901820"),
    ] {
        assert_eq!(phones(text), [wanted], "{text}");
    }
    for text in [
        "x+442071838750",
        "Tel9+442071838750",
        "a%2B12125550187",
        "q=%2B123",
        "100%2B442071838750",
        "tel++442071838750",
    ] {
        assert_eq!(phones(text), Vec::<&str>::new(), "{text}");
    }
}
