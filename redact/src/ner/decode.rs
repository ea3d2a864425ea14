//! Greedy decoding of one sentence: the best allowed label, token by token, from left to right.

use super::feature::{self, LABEL_FEATURES, WORD_FEATURES};
use super::gazetteer::Gazetteer;
use super::label::{self, LABELS, LANES, OUTSIDE, Position, START};
use super::model::Model;
use super::token::Token;
use super::word::{self, Word};

/// The label of one token and its probability among the allowed labels, before any bias.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Tag {
    pub(crate) label: u8,
    pub(crate) probability: f32,
}

/// Fills `words` with the facts of one sentence's tokens.
pub(crate) fn read(text: &str, tokens: &[Token], gazetteer: &Gazetteer, words: &mut Vec<Word>) {
    words.clear();
    words.extend(
        tokens.iter().map(|token| Word::new(text.get(token.start..token.end).unwrap_or(""), gazetteer)),
    );
    word::finish(words, gazetteer);
}

/// Tags one sentence. `bias` nats are taken off the score of O.
pub(crate) fn tag(model: &Model, words: &[Word], bias: f32, tags: &mut Vec<Tag>) {
    tags.clear();
    let case = feature::sentence_case(words);
    let mut before = [START; 2];
    for at in 0..words.len() {
        let mut word_rows = [0; WORD_FEATURES];
        let mut label_rows = [0; LABEL_FEATURES];
        // All addresses first: the loads then overlap instead of waiting for each other.
        feature::word_rows(words, at, case, &mut word_rows);
        feature::label_rows(words, at, before, &mut label_rows);
        let mut sum = [0; LANES];
        model.add(&word_rows, &mut sum);
        model.add(&label_rows, &mut sum);
        let tag = choose(&sum, model.nats, bias, label::allowed(before[1], Position::new(at, words.len())));
        before = [before[1], tag.label];
        tags.push(tag);
    }
}

/// The best label of a set.
#[inline]
fn choose(sum: &[i16; LANES], nats: f32, bias: f32, allowed: u16) -> Tag {
    let mut best = (OUTSIDE, f32::NEG_INFINITY);
    for (label, &count) in (0..).zip(&sum[..LABELS]) {
        let score = f32::from(count) * nats - if label == OUTSIDE { bias } else { 0.0 };
        if allowed >> label & 1 == 1 && score > best.1 {
            best = (label, score);
        }
    }
    let probability = if best.0 == OUTSIDE { 1.0 } else { probability(sum, nats, best.0, allowed) };
    Tag { label: best.0, probability }
}

fn probability(sum: &[i16; LANES], nats: f32, label: u8, allowed: u16) -> f32 {
    let own = f32::from(sum[usize::from(label)]);
    let others = (0..LABELS).filter(|label| allowed >> label & 1 == 1);
    1.0 / others.map(|label| ((f32::from(sum[label]) - own) * nats).exp()).sum::<f32>()
}
