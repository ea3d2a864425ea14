//! Softmax regression over hashed features: AdaGrad, feature dropout, averaged weights, 8 bits.

use anyhow::{Context as _, Result};

use super::super::decode;
use super::super::feature::{self, FEATURES, LABEL_FEATURES, ROW_BITS, WORD_FEATURES};
use super::super::gazetteer::Gazetteer;
use super::super::label::{self, LABELS, LANES, OUTSIDE, Position, START};
use super::super::word::Word;
use super::Effort;
use super::corpus::Sentence;
use super::random::{Random, exp};

const EPOCHS: usize = 8;
const RATE: f32 = 0.06;
const ACCUMULATOR: f32 = 0.01;
const LEAST_GRADIENT: f32 = 1e-3;
const DECAY: f32 = 1e-5;
const DROPOUT_PERCENT: u64 = 25;
/// After the first epoch so many previous labels are the model's own, errors included.
const PREDICTED_PERCENT: u64 = 70;
/// So often a word is hidden, and only its form, lists and neighbours show: most names at run time are new.
const UNSEEN_PERCENT: u64 = 10;
/// A missed name counts as two invented ones: plain likelihood finds too little.
const NAME_WEIGHT: f32 = 2.0;
/// Runs that differ in their chance alone; the mean of all is steadier than any of them.
const SEEDS: [u64; 4] = [20_170_907, 20_170_909, 20_170_911, 20_170_913];

type Row = [f32; LANES];

/// One sentence ready to learn from.
struct Example {
    words: Vec<Word>,
    labels: Vec<u8>,
    rows: Vec<[u32; WORD_FEATURES]>,
}

/// Weights while they change.
struct Learner {
    weights: Vec<Row>,
    squares: Vec<Row>,
    random: Random,
}

/// The quantised table, and what one count is worth in nats.
pub(crate) fn table(
    sentences: &[Sentence],
    entries: &[u64],
    effort: Effort,
    progress: &mut dyn FnMut(&str),
) -> Result<(Vec<i8>, f32)> {
    let gazetteer = gazetteer(entries)?;
    let mut examples = examples(sentences, &gazetteer);
    let rows = 1 << ROW_BITS;
    let mut mean = vec![[0.0; LANES]; rows];
    let seeds = match effort {
        Effort::Full => &SEEDS[..],
        Effort::Quick => &SEEDS[..1],
    };
    for &seed in seeds {
        let mut learner = Learner {
            weights: vec![[0.0; LANES]; rows],
            squares: vec![[ACCUMULATOR; LANES]; rows],
            random: Random::new(seed),
        };
        for epoch in 1..=EPOCHS {
            learner.random.shuffle(&mut examples);
            let predicted = if epoch == 1 { 0 } else { PREDICTED_PERCENT };
            let loss: f64 = examples.iter().map(|example| learner.learn(example, predicted)).sum();
            progress(&format!("seed {seed}, epoch {epoch} of {EPOCHS}: loss {loss:.0}"));
            if epoch > 1 {
                add(&mut mean, &learner.weights, seeds.len());
            }
        }
    }
    Ok(quantised(mean.as_flattened()))
}

/// Adds the share of one epoch to the mean.
fn add(mean: &mut [Row], weights: &[Row], runs: usize) {
    let parts = ((EPOCHS - 1) * runs) as f32;
    for (mean, weight) in mean.as_flattened_mut().iter_mut().zip(weights.as_flattened()) {
        *mean += weight / parts;
    }
}

/// The file's tables are static; a trainer runs once, so leaking its own is no loss.
fn gazetteer(entries: &[u64]) -> Result<Gazetteer> {
    let entries: Vec<[u8; 8]> = entries.iter().map(|entry| entry.to_le_bytes()).collect();
    Gazetteer::new(entries.leak()).context("list entries out of order")
}

/// All sentences, 1 in 8 also in lower case and 1 in 32 in upper case.
fn examples(sentences: &[Sentence], gazetteer: &Gazetteer) -> Vec<Example> {
    let mut examples = Vec::new();
    for (index, sentence) in sentences.iter().enumerate() {
        examples.push(Example::new(sentence, gazetteer));
        let lower = (index % 8 == 3).then(|| sentence.recased(str::to_lowercase)).flatten();
        let upper = (index % 32 == 7).then(|| sentence.recased(str::to_uppercase)).flatten();
        examples.extend(lower.iter().chain(&upper).map(|copy| Example::new(copy, gazetteer)));
    }
    examples
}

impl Example {
    fn new(sentence: &Sentence, gazetteer: &Gazetteer) -> Self {
        let mut words = Vec::new();
        decode::read(&sentence.text, &sentence.tokens, gazetteer, &mut words);
        let case = feature::sentence_case(&words);
        let rows = (0..words.len()).map(|at| {
            let mut rows = [0; WORD_FEATURES];
            feature::word_rows(&words, at, case, &mut rows);
            rows
        });
        Self { rows: rows.collect(), labels: sentence.labels.clone(), words }
    }
}

impl Learner {
    /// One pass over a sentence; the sum of its losses.
    fn learn(&mut self, example: &Example, predicted_percent: u64) -> f64 {
        let mut before = [START; 2];
        let mut loss = 0.0;
        for at in 0..example.words.len() {
            let mut rows = [0; FEATURES];
            let (word_rows, label_rows) = rows.split_at_mut(WORD_FEATURES);
            word_rows.copy_from_slice(&example.rows[at]);
            if let Some(label_rows) = label_rows.first_chunk_mut::<LABEL_FEATURES>() {
                feature::label_rows(&example.words, at, before, label_rows);
            }
            let position = Position::new(at, example.words.len());
            let gold = example.labels[at];
            let (probabilities, own) = self.step(&rows, gold, label::allowed(before[1], position));
            loss -= f64::from(probabilities.max(1e-9)).ln();
            let next = if self.random.percent(predicted_percent) { own } else { gold };
            before = [before[1], next];
        }
        loss
    }

    /// One update; the probability of the right label, and the label that the model would choose.
    fn step(&mut self, rows: &[u32; FEATURES], gold: u8, allowed: u16) -> (f32, u8) {
        let mut kept = [0; FEATURES];
        let mut count = 0;
        let unseen = self.random.percent(UNSEEN_PERCENT);
        for (template, &row) in rows.iter().enumerate() {
            let hidden = unseen && feature::names_word(template);
            if !hidden && !self.random.percent(DROPOUT_PERCENT) {
                kept[count] = row;
                count += 1;
            }
        }
        let rescale = 100.0 / (100 - DROPOUT_PERCENT) as f32;
        let mut scores = [0.0; LANES];
        for &row in &kept[..count] {
            for (score, weight) in scores.iter_mut().zip(&self.weights[row as usize]) {
                *score += weight * rescale;
            }
        }
        let probabilities = softmax(&scores);
        let mut gradient = probabilities;
        gradient[usize::from(gold)] -= 1.0;
        let weight = if gold == OUTSIDE { 1.0 } else { NAME_WEIGHT };
        for value in &mut gradient {
            *value = if value.abs() < LEAST_GRADIENT { 0.0 } else { *value * rescale * weight };
        }
        if gradient.iter().any(|value| *value != 0.0) {
            kept[..count].iter().for_each(|&row| self.update(row as usize, &gradient));
        }
        (probabilities[usize::from(gold)], best(&scores, allowed))
    }

    fn update(&mut self, row: usize, gradient: &Row) {
        let (weights, squares) = (&mut self.weights[row], &mut self.squares[row]);
        for lane in 0..LANES {
            let slope = gradient[lane] + DECAY * weights[lane];
            let active = if gradient[lane] == 0.0 { 0.0 } else { slope };
            squares[lane] += active * active;
            weights[lane] -= RATE * active / squares[lane].sqrt();
        }
    }
}

fn softmax(scores: &Row) -> Row {
    let largest = scores[..LABELS].iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut values = [0.0; LANES];
    for (value, score) in values.iter_mut().zip(&scores[..LABELS]) {
        *value = exp(score - largest);
    }
    let sum: f32 = values.iter().sum();
    values.map(|value| value / sum)
}

fn best(scores: &Row, allowed: u16) -> u8 {
    let labels = (0..).zip(&scores[..LABELS]).filter(|(label, _)| allowed >> label & 1 == 1);
    labels
        .fold(
            (0_u8, f32::NEG_INFINITY),
            |best, (label, &score)| if score > best.1 { (label, score) } else { best },
        )
        .0
}

/// Scaled by the largest weight, without clipping: clipping cost seven points of F1.
fn quantised(weights: &[f32]) -> (Vec<i8>, f32) {
    let largest = weights.iter().fold(f32::MIN_POSITIVE, |largest, weight| largest.max(weight.abs()));
    let scale = 127.0 / largest;
    #[expect(clippy::cast_possible_truncation, reason = "between -127 and 127 by construction")]
    let table = weights.iter().map(|weight| (weight * scale).round() as i8).collect();
    (table, 1.0 / scale)
}
