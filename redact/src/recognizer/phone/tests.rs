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
