//! The BILOU labels: Begin, Inside, Last, Unit of an entity, and Outside.

use crate::names::NameKind;

/// Labels in use: O and four for each of three entities.
pub(crate) const LABELS: usize = LABELS_BYTE as usize;

/// The same, as the weight file states it.
pub(crate) const LABELS_BYTE: u8 = 13;

/// Lanes of a row: labels padded to a whole vector.
pub(crate) const LANES: usize = 16;

/// Outside of every name.
pub(crate) const OUTSIDE: u8 = 0;

/// Stands for the label before the first token, in features only.
pub(crate) const START: u8 = 13;

/// All label names in the order of the lanes, as the weight file states them.
pub(crate) const NAMES: &str = "O B-PER I-PER L-PER U-PER B-LOC I-LOC L-LOC U-LOC B-ORG I-ORG L-ORG U-ORG";

/// Where in its name a token stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Begin,
    Inside,
    Last,
    Unit,
}

/// The label of a token at `place` of a name of kind `entity`.
#[cfg(any(test, feature = "train"))]
pub(crate) fn label(entity: NameKind, place: Place) -> u8 {
    let base = match entity {
        NameKind::Person => 1,
        NameKind::Location => 5,
        NameKind::Organization => 9,
    };
    base + match place {
        Place::Begin => 0,
        Place::Inside => 1,
        Place::Last => 2,
        Place::Unit => 3,
    }
}

/// What a label says; nothing for O.
pub(crate) fn meaning(label: u8) -> Option<(NameKind, Place)> {
    let entity = match label {
        1..=4 => NameKind::Person,
        5..=8 => NameKind::Location,
        9..=12 => NameKind::Organization,
        _ => return None,
    };
    let place = match (label - 1) % 4 {
        0 => Place::Begin,
        1 => Place::Inside,
        2 => Place::Last,
        _ => Place::Unit,
    };
    Some((entity, place))
}

/// Whether a token ends its sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Position {
    Inner,
    Final,
}

impl Position {
    pub(crate) fn new(at: usize, length: usize) -> Self {
        if at + 1 == length { Self::Final } else { Self::Inner }
    }
}

/// Whether a name goes on behind this label.
pub(crate) fn is_open(label: u8) -> bool {
    matches!(meaning(label), Some((_, Place::Begin | Place::Inside)))
}

/// The labels that may stand behind `previous`, as bits; none stays open at the end of a sentence.
pub(crate) fn allowed(previous: u8, position: Position) -> u16 {
    const OUTSIDE_OR_UNIT: u16 = 1 | 1 << 4 | 1 << 8 | 1 << 12;
    const BEGIN: u16 = 1 << 1 | 1 << 5 | 1 << 9;
    let last = position == Position::Final;
    if is_open(previous) {
        let begin = previous - (previous - 1) % 4;
        let end = 1 << (begin + 2);
        return if last { end } else { end | 1 << (begin + 1) };
    }
    if last { OUTSIDE_OR_UNIT } else { OUTSIDE_OR_UNIT | BEGIN }
}

#[cfg(test)]
mod tests {
    use super::{LABELS, NAMES, Position, allowed, is_open, label, meaning};

    #[test]
    fn a_label_means_what_it_was_made_from() {
        for (index, name) in NAMES.split(' ').enumerate().skip(1) {
            let index = u8::try_from(index).unwrap();
            let (entity, place) = meaning(index).unwrap();
            assert_eq!(label(entity, place), index, "{name}");
        }
        assert_eq!(NAMES.split(' ').count(), LABELS);
    }

    #[test]
    fn an_open_name_goes_on_and_is_closed_at_the_end() {
        for previous in 0..13 {
            for next in (0..13).filter(|next| allowed(previous, Position::Final) >> next & 1 == 1) {
                assert!(!is_open(next), "{previous} -> {next} stays open");
            }
            for next in (0..13).filter(|next| allowed(previous, Position::Inner) >> next & 1 == 1) {
                let continues = matches!(meaning(next), Some((_, super::Place::Inside | super::Place::Last)));
                assert_eq!(is_open(previous), continues, "{previous} -> {next}");
            }
        }
    }
}
