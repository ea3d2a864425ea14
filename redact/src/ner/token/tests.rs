//! Cuts that the model depends on, and laws that hold for every text.
#![expect(clippy::string_slice, reason = "a slice off a boundary fails the test, as it should")]

use proptest::prelude::{any, proptest};

use super::{SLICE_BYTES, TOKEN_BYTES, sentence};

/// All tokens of a text, sentence by sentence.
fn sentences(text: &str) -> Vec<Vec<&str>> {
    let (mut found, mut tokens, mut at) = (Vec::new(), Vec::new(), 0);
    while at < text.len() {
        at = sentence(text, at, &mut tokens);
        if !tokens.is_empty() {
            found.push(tokens.iter().map(|token| &text[token.start..token.end]).collect());
        }
    }
    found
}

fn tokens(text: &str) -> Vec<&str> {
    sentences(text).concat()
}

#[test]
fn contractions_and_possessives_stand_alone() {
    assert_eq!(tokens("Ada's cat can't say it’ll"), ["Ada", "'s", "cat", "ca", "n't", "say", "it", "’ll"]);
    assert_eq!(tokens("do n't 's"), ["do", "n't", "'s"]);
}

#[test]
fn marks_inside_names_stay() {
    assert_eq!(tokens("O'Shea of AT&T, U.S.A."), ["O'Shea", "of", "AT&T", ",", "U.S.A."]);
}

#[test]
fn hyphens_part_words_but_not_numbers() {
    assert_eq!(tokens("Jean-Luc 555-0100"), ["Jean", "-", "Luc", "555-0100"]);
}

#[test]
fn a_full_stop_stays_with_initials_and_abbreviations_only() {
    assert_eq!(
        tokens("Dr. J. Doe of Orb Inc. left."),
        ["Dr.", "J.", "Doe", "of", "Orb", "Inc.", "left", "."]
    );
}

#[test]
fn a_missing_space_behind_a_sentence_parts_it() {
    assert_eq!(tokens("the end.Next one"), ["the", "end", ".", "Next", "one"]);
}

#[test]
fn handles_addresses_and_links_are_one_token() {
    let text = "@ada_l #Utopia ada@example.test https://example.test/a?b=c, ok";
    let cut = ["@ada_l", "#Utopia", "ada@example.test", "https://example.test/a?b=c", ",", "ok"];
    assert_eq!(tokens(text), cut);
}

#[test]
fn sentences_end_at_full_stops_and_lines() {
    let cut = sentences("He left. \"Why?\" Nobody knew\nName: Ada\nwrapped\nwords");
    let counts: Vec<usize> = cut.iter().map(Vec::len).collect();
    assert_eq!(counts, [3, 4, 2, 5]);
}

#[test]
fn an_abbreviation_does_not_end_a_sentence() {
    assert_eq!(sentences("Dr. Doe met Mrs. Roe.").len(), 1);
}

#[test]
fn a_long_sentence_is_cut_behind_a_mark() {
    let text = "one two, ".repeat(200);
    let cut = sentences(&text);
    assert!(cut.len() > 2);
    assert!(cut.iter().all(|sentence| sentence.last() == Some(&",")));
}

#[test]
fn abbreviations_are_sorted_for_the_search() {
    assert!(super::ABBREVIATIONS.is_sorted());
}

proptest! {
    #[test]
    fn tokens_and_the_space_between_make_the_text_again(text in any::<String>()) {
        let (mut tokens, mut at, mut end) = (Vec::new(), 0, 0);
        let mut again = String::new();
        while at < text.len() {
            let next = sentence(&text, at, &mut tokens);
            assert!(next > at && next - at <= SLICE_BYTES + TOKEN_BYTES + 8, "from {at} to {next}");
            for token in &tokens {
                let gap = &text[end..token.start];
                assert!(gap.chars().all(|mark| mark.is_whitespace() || mark.is_control()));
                again.push_str(gap);
                again.push_str(&text[token.start..token.end]);
                assert!(token.end > token.start && token.end <= next);
                end = token.end;
            }
            at = next;
        }
        again.push_str(&text[end..]);
        assert_eq!(again, text);
    }

    #[test]
    fn a_token_cut_again_is_itself(text in "[a-zA-Z0-9'’.,&@#:/ -]{0,60}") {
        for token in tokens(&text) {
            let alone = super::next(token, 0);
            assert!(alone.start == 0 && alone.end <= token.len());
        }
    }
}
