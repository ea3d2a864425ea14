use proptest::prelude::*;

use super::*;

fn name(start: usize, end: usize) -> Finding {
    Finding { start, end, kind: NameKind::Person, score: 0.85 }
}

/// The names that `findings` become in `texts`, which make one question.
fn spread(texts: &[&str], findings: &[Finding]) -> Result<Vec<Vec<String>>, &'static str> {
    let texts: Vec<_> = texts.iter().map(|text| (*text).to_owned()).collect();
    let mut names = vec![Vec::new(); texts.len()];
    let questions = questions(&texts);
    assert_eq!(questions.len(), 1);
    questions[0].spread(findings, &mut names)?;
    let written = |(text, names): (&String, Vec<NameSpan>)| {
        names.iter().map(|name| text.get(name.start..name.end).unwrap().to_owned()).collect()
    };
    Ok(texts.iter().zip(names).map(written).collect())
}

#[test]
fn offsets_are_code_points() {
    let text = "👩‍👩‍👧 met Zoe\u{308} 𠮷田 today";
    let start = text.chars().position(|letter| letter == 'Z').unwrap();
    assert_eq!(spread(&[text], &[name(start, start + 7)]), Ok(vec![vec!["Zoe\u{308} 𠮷田".to_owned()]]));
    let all = text.chars().count();
    assert_eq!(spread(&[text], &[name(0, all)]), Ok(vec![vec![text.to_owned()]]));
}

#[test]
fn a_finding_belongs_to_every_text_that_it_reaches_into_and_to_none_between() {
    let both = spread(&["Ann Lee", "Bob"], &[name(4, 12), name(7, 9)]).unwrap();
    assert_eq!(both, [vec!["Lee".to_owned()], vec!["Bob".to_owned()]]);
}

#[test]
fn a_finding_outside_of_the_question_is_no_finding() {
    assert!(spread(&["𠮷田"], &[name(0, 2)]).is_ok());
    for (start, end) in [(0, 3), (3, 4), (0, usize::MAX), (usize::MAX - 1, usize::MAX)] {
        assert!(spread(&["𠮷田"], &[name(start, end)]).is_err(), "{start} {end}");
    }
}

#[test]
fn findings_that_would_fill_the_memory_are_refused() {
    let texts: Vec<_> = (0..1000).map(|_| "a").collect();
    let everywhere = name(0, 2998);
    assert!(spread(&texts, &[everywhere; 4]).is_ok());
    assert!(spread(&texts, &[everywhere; 5]).is_err());
}

#[test]
fn short_texts_share_a_question_and_long_ones_are_cut_at_sentences() {
    let short: Vec<_> = (0..100).map(|number| format!("Message {number} of a chat.")).collect();
    assert_eq!(questions(&short).len(), 1);
    let long = "He said that much. ".repeat(1000);
    for question in &questions(&[long])[1..] {
        let before = question.text().get(..OVERLAP).unwrap();
        assert!(before.contains(". He"), "{before}");
    }
    let cut: Vec<_> = questions(&["Ann Lee. ".repeat(1000)]).into_iter().map(|it| it.text).collect();
    assert!(cut.iter().all(|text| text.ends_with("Lee. ")), "{cut:?}");
}

fn text() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec!["Ann", "Zoe\u{308}", "𠮷田", "\n\n", ". ", " ", "x", "👩‍👩‍👧", "ß"]);
    prop::collection::vec(word, 1..2_500).prop_map(|words| words.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Every name that is not longer than what questions share stands whole in one of them, wherever it is.
    #[test]
    fn every_name_is_whole_in_a_question(texts in prop::collection::vec(text(), 1..4), at in any::<prop::sample::Index>()) {
        let questions = questions(&texts);
        let mut asked = 0;
        for question in &questions {
            asked += question.text.len();
            prop_assert!(question.text.len() <= limits::PII_QUESTION_BYTES);
            for part in &question.parts {
                let piece = question.text.get(part.range.clone()).unwrap();
                prop_assert_eq!(piece, texts[part.text].get(part.from..part.from + piece.len()).unwrap());
            }
        }
        let all: usize = texts.iter().map(String::len).sum();
        prop_assert!(asked <= all + all / 8 + texts.len() * BETWEEN.len() + OVERLAP, "{asked} of {all}");
        for (index, text) in texts.iter().enumerate() {
            let start = character_at(text, at.index(text.len()));
            let end = character_at(text, text.len().min(start + OVERLAP / 2 - 4));
            let holds = |part: &Part| {
                part.text == index && part.from <= start && end <= part.from + part.range.len()
            };
            prop_assert!(questions.iter().flat_map(|it| &it.parts).any(holds), "{start}..{end} of {}", text.len());
        }
    }
}
