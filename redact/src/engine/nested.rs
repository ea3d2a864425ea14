//! JSON inside a string, such as tool-call arguments: a second level of escapes.

use std::ops::Range;

use super::{Desk, Refused, TURN, Turn, Value};
use crate::document::{Class, FieldTable, Leaf, Walk, Walker};
use crate::find::Unscannable;
use crate::splice::escape;
use crate::view::{Escapes, Map, Normal, Reader};

/// Spaces that may stand before a bracket.
const MAX_INDENT: usize = 256;

/// Whether it is worth trying to read a string as JSON.
pub(super) fn looks_like_json(raw: &[u8]) -> bool {
    raw.iter()
        .take(MAX_INDENT)
        .find(|byte| **byte != b' ')
        .is_some_and(|byte| matches!(byte, b'{' | b'[' | b'\\'))
}

/// The redaction of one string that may be JSON.
pub(super) struct Nested {
    leaf: Leaf,
    stage: Stage,
}

enum Stage {
    Read(Reader),
    /// Walking to the end without looking, because what does not parse is prose.
    Check(Walker<Vec<u8>>, Map),
    Walk(Walker<Vec<u8>>, Map),
    Value(Walker<Vec<u8>>, Map, Box<Value>),
    Prose,
    Done,
}

impl Nested {
    pub(super) fn new(leaf: &Leaf) -> Self {
        Self { leaf: leaf.clone(), stage: Stage::Read(Reader::new(Normal::EscapesOnly, Escapes::Json)) }
    }

    /// The string, if it turned out to be no JSON.
    pub(super) fn into_prose(self) -> Option<Leaf> {
        matches!(self.stage, Stage::Prose).then_some(self.leaf)
    }

    /// Goes on a little. `source` must be the same in all calls.
    pub(super) fn turn(&mut self, source: &[u8], desk: &mut Desk<'_>) -> Result<Turn, Refused> {
        let raw = &source[self.leaf.range.clone()];
        let (stage, turn) = match std::mem::replace(&mut self.stage, Stage::Done) {
            Stage::Read(reader) => read(reader, raw, desk)?,
            Stage::Check(walker, map) => check(walker, map, desk)?,
            Stage::Walk(walker, map) => walk(walker, map, desk)?,
            Stage::Value(walker, map, value) => self.value(walker, map, value, desk)?,
            done @ (Stage::Prose | Stage::Done) => (done, Turn::Done),
        };
        self.stage = stage;
        Ok(turn)
    }

    fn value(
        &self,
        walker: Walker<Vec<u8>>,
        map: Map,
        mut value: Box<Value>,
        desk: &mut Desk<'_>,
    ) -> Result<(Stage, Turn), Refused> {
        let offset = self.leaf.range.start;
        let outer = |range: &Range<usize>| {
            let range = map.raw_range(range);
            range.start + offset..range.end + offset
        };
        let turn = match value.turn(walker.body(), desk)? {
            Turn::Done => return Ok((Stage::Walk(walker, map), Turn::Spent(0))),
            Turn::Spent(cost) => Turn::Spent(cost),
            Turn::Missed(mut misses) => {
                misses.iter_mut().for_each(|miss| miss.range = outer(&miss.range));
                Turn::Missed(misses)
            }
            Turn::Replace(mut span, replacement) => {
                span.range = outer(&span.range);
                Turn::Replace(span, escape(&replacement))
            }
        };
        Ok((Stage::Value(walker, map, value), turn))
    }
}

fn read(mut reader: Reader, raw: &[u8], desk: &Desk<'_>) -> Result<(Stage, Turn), Unscannable> {
    let read = reader.step(raw, TURN)?;
    if read > 0 {
        return Ok((Stage::Read(reader), Turn::Spent(desk.cost(read))));
    }
    let (text, map) = reader.finish(raw.len()).into_parts(raw);
    Ok((Stage::Check(Walker::new(text, FieldTable::Nested), map), Turn::Spent(0)))
}

fn check(mut walker: Walker<Vec<u8>>, map: Map, desk: &Desk<'_>) -> Result<(Stage, Turn), Unscannable> {
    let from = walker.position();
    let stage = match walker.step(TURN) {
        Ok(Walk::End) => return Ok((Stage::Walk(walker.again(FieldTable::Nested), map), Turn::Spent(0))),
        Ok(Walk::Leaf(_) | Walk::Pause) => {
            let spent = desk.cost(walker.position() - from);
            return Ok((Stage::Check(walker, map), Turn::Spent(spent)));
        }
        Err(Unscannable::TooDeep) => return Err(Unscannable::TooDeep),
        Err(_) => Stage::Prose,
    };
    Ok((stage, Turn::Spent(0)))
}

fn walk(mut walker: Walker<Vec<u8>>, map: Map, desk: &Desk<'_>) -> Result<(Stage, Turn), Unscannable> {
    let from = walker.position();
    let step = walker.step(TURN)?;
    let spent = Turn::Spent(desk.cost(walker.position() - from));
    Ok(match step {
        Walk::End => (Stage::Done, Turn::Done),
        Walk::Pause => (Stage::Walk(walker, map), spent),
        Walk::Leaf(leaf) => {
            let key = walker.key(&leaf);
            let prose = Leaf { class: Class::Prose, ..leaf };
            (Stage::Value(walker, map, Box::new(Value::new(&prose, key))), spent)
        }
    })
}
