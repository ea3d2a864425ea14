//! From parser events to values with positions.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use serde_saphyr::granit_parser::{Event, Parser, ScalarStyle, StrInput};

use super::{
    DEPTH, DOCUMENTS, Document, DocumentProblem, EXPANDED_WEIGHT, InvalidDocument, Position, scalar,
};
use crate::path::Segment;

/// A value, and where it and its parts stand.
type Node = (Value, Position);

/// Pulls events, and holds what the file's bounds are counted by.
pub(super) struct Builder<'text> {
    parser: Parser<'text, StrInput<'text>>,
    line: usize,
    weight: usize,
    anchors: BTreeMap<usize, Value>,
}

impl<'text> Builder<'text> {
    pub(super) fn new(text: &'text str) -> Self {
        Self { parser: Parser::new_from_str(text), line: 1, weight: 0, anchors: BTreeMap::new() }
    }

    pub(super) fn documents(mut self) -> Result<Vec<Document>, InvalidDocument> {
        let mut documents = Vec::new();
        let mut starts = 0;
        while let Some(event) = self.next()? {
            if matches!(event, Event::DocumentStart(..)) {
                starts += 1;
                if starts > DOCUMENTS {
                    return Err(self.invalid(DocumentProblem::TooMany));
                }
                let (value, position) = self.node(0)?;
                if !value.is_null() {
                    documents.push(Document { value, position });
                }
            }
        }
        Ok(documents)
    }

    /// The next event that is not a comment.
    fn next(&mut self) -> Result<Option<Event<'text>>, InvalidDocument> {
        loop {
            match self.parser.next_event() {
                None => return Ok(None),
                Some(Ok((Event::Comment(..), _))) => {}
                Some(Ok((event, span))) => {
                    self.line = span.start.line();
                    return Ok(Some(event));
                }
                Some(Err(error)) => {
                    self.line = error.marker().line();
                    return Err(self.invalid(DocumentProblem::Syntax(error.info())));
                }
            }
        }
    }

    fn node(&mut self, depth: usize) -> Result<Node, InvalidDocument> {
        let Some(event) = self.next()? else {
            return Err(self.invalid(DocumentProblem::Syntax("the file ends too early".to_owned())));
        };
        self.node_from(event, depth)
    }

    fn node_from(&mut self, event: Event<'text>, depth: usize) -> Result<Node, InvalidDocument> {
        if depth > DEPTH {
            return Err(self.invalid(DocumentProblem::TooDeep));
        }
        if event.tag().is_some() {
            return Err(self.invalid(DocumentProblem::Tag));
        }
        let anchor = event.anchor_id();
        let line = self.line;
        let node = match event {
            Event::Scalar(text, style, ..) => self.scalar(&text, style)?,
            Event::SequenceStart(..) => self.sequence(depth)?,
            Event::MappingStart(..) => self.mapping(depth)?,
            Event::Alias(anchor) => self.alias(anchor)?,
            _ => return Err(self.invalid(DocumentProblem::Syntax("a value is missing".to_owned()))),
        };
        if let Some(anchor) = anchor {
            self.spend(weight(&node.0))?;
            self.anchors.insert(anchor, node.0.clone());
        }
        let (value, position) = node;
        Ok((value, Position { line, ..position }))
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle) -> Result<Node, InvalidDocument> {
        self.spend(1 + text.len())?;
        let value = match style {
            ScalarStyle::Plain => scalar::plain(text).map_err(|problem| self.invalid(problem))?,
            ScalarStyle::SingleQuoted
            | ScalarStyle::DoubleQuoted
            | ScalarStyle::Literal
            | ScalarStyle::Folded => Value::String(text.to_owned()),
        };
        Ok((value, Position::default()))
    }

    fn alias(&mut self, anchor: usize) -> Result<Node, InvalidDocument> {
        let value = self.anchors.get(&anchor).cloned();
        // An anchor that is still open would contain itself.
        let value = value.ok_or_else(|| self.invalid(DocumentProblem::Expanded))?;
        self.spend(weight(&value))?;
        Ok((value, Position::default()))
    }

    fn sequence(&mut self, depth: usize) -> Result<Node, InvalidDocument> {
        self.spend(1)?;
        let mut items = Vec::new();
        let mut position = Position::default();
        loop {
            match self.next()? {
                Some(Event::SequenceEnd) => return Ok((Value::Array(items), position)),
                Some(event) => {
                    let (item, inside) = self.node_from(event, depth + 1)?;
                    position.put(Segment::Item(items.len()), inside);
                    items.push(item);
                }
                None => return Err(self.invalid(DocumentProblem::Syntax("a list does not end".to_owned()))),
            }
        }
    }

    fn mapping(&mut self, depth: usize) -> Result<Node, InvalidDocument> {
        self.spend(1)?;
        let mut members = Map::new();
        let mut position = Position::default();
        loop {
            let Some(key) = self.key()? else { return Ok((Value::Object(members), position)) };
            let line = self.line;
            if members.contains_key(&key) {
                return Err(self.invalid(DocumentProblem::DuplicateKey(key)));
            }
            let (value, inside) = self.node(depth + 1)?;
            // A reader looks for a field where its name stands, also if the value begins below.
            position.put(Segment::Member(&key), Position { line, ..inside });
            members.insert(key, value);
        }
    }

    /// The next key of a mapping; `None` where it ends.
    fn key(&mut self) -> Result<Option<String>, InvalidDocument> {
        match self.next()? {
            Some(Event::MappingEnd) => Ok(None),
            Some(Event::Scalar(text, style, ..)) => {
                self.spend(1 + text.len())?;
                if style != ScalarStyle::Plain {
                    return Ok(Some(text.into_owned()));
                }
                if text == "<<" {
                    return Err(self.invalid(DocumentProblem::MergeKey));
                }
                match scalar::plain(&text) {
                    Ok(Value::String(key)) => Ok(Some(key)),
                    _ => Err(self.invalid(DocumentProblem::KeyNotText)),
                }
            }
            _ => Err(self.invalid(DocumentProblem::KeyNotText)),
        }
    }

    fn spend(&mut self, weight: usize) -> Result<(), InvalidDocument> {
        self.weight = self.weight.saturating_add(weight);
        if self.weight > EXPANDED_WEIGHT { Err(self.invalid(DocumentProblem::Expanded)) } else { Ok(()) }
    }

    fn invalid(&self, problem: DocumentProblem) -> InvalidDocument {
        InvalidDocument { line: self.line, problem }
    }
}

/// One for each value, and the bytes of its text.
fn weight(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 1,
        Value::String(text) => 1 + text.len(),
        Value::Array(items) => 1 + items.iter().map(weight).sum::<usize>(),
        Value::Object(members) => {
            1 + members.iter().map(|(key, value)| 1 + key.len() + weight(value)).sum::<usize>()
        }
    }
}
