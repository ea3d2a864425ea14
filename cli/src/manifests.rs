//! Manifests from files: read, expand `${VAR}`, admit, and give the compiler its World.
//!
//! `check` and `compile` use it, and so does `local`. Everything that is wrong is collected as a [`Note`] with its
//! place; only a path that cannot be read at all is an error.

mod expand;
mod files;
mod world;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use chaperone_crds::{Document, GROUP, Object, admit, read_documents};
use chaperone_operator::compile::Finding;
use chaperone_operator::world::ObjectKey;
use chaperone_protocol::limits;
use chaperone_protocol::name::ObjectName;
use serde_json::Value;

pub(crate) use self::world::{keys, world};
use crate::args::{Environment, Manifests};
use crate::note::{Note, Place};

/// The namespace of objects that name none, where nothing else says which.
const DEFAULT_NAMESPACE: &str = "default";

/// Which object: one file may define it, and no other.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Id {
    /// As in `kind:`.
    pub(crate) kind: &'static str,
    /// Namespace and name; a Namespace stands in itself.
    pub(crate) key: ObjectKey,
}

/// An object that was admitted, and where it stands.
#[derive(Debug)]
pub(crate) struct Manifest {
    pub(crate) object: Object,
    source: Source,
    completeness: Completeness,
}

/// Whether all variables of an object were set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Completeness {
    /// They were.
    Complete,
    /// They were not: the object exists, and its values cannot be used. Only a Secret may be so, whose values the
    /// compiler does not see.
    ValuesMissing,
}

/// A document of a file, without its values: they may be secret, and are not needed any more.
#[derive(Debug, Clone)]
struct Source {
    file: Arc<Path>,
    document: Document,
}

impl Source {
    fn place(&self, path: &str) -> Place {
        Place { file: self.file.to_path_buf(), line: self.document.line(path) }
    }
}

/// What was found in files.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// Objects that were admitted.
    pub(crate) objects: BTreeMap<Id, Manifest>,
    /// The namespace of objects that name none.
    pub(crate) namespace: ObjectName,
    /// What is wrong with files and with single objects.
    notes: Vec<Note>,
}

/// Reads and admits everything under the paths.
///
/// # Errors
/// If a path cannot be read, or a folder has no manifest.
pub(crate) fn read(args: &Manifests, environment: &Environment) -> Result<Loaded> {
    let mut reader = Reader { environment, notes: Vec::new(), admitted: Vec::new() };
    for file in files::find(&args.filename)? {
        reader.file(&file)?;
    }
    Ok(reader.finish(args.namespace.clone()))
}

impl Loaded {
    /// All notes: those of reading, and `findings` with their places. Sorted by place.
    pub(crate) fn notes_with(&self, findings: &[Finding]) -> Vec<Note> {
        let mut notes = self.notes.clone();
        notes.extend(findings.iter().filter_map(|finding| self.note(finding)));
        notes.sort();
        notes
    }

    fn note(&self, finding: &Finding) -> Option<Note> {
        let Finding { object, path, severity, reason, message, remedy } = finding;
        let id = Id { kind: object.kind.as_str(), key: object.key.clone() };
        Some(Note {
            place: self.objects.get(&id)?.source.place(path),
            object: Some(object.to_string()),
            path: path.clone(),
            severity: *severity,
            reason: reason.code(),
            message: message.clone(),
            remedy: Some(remedy.clone()),
        })
    }
}

/// Works through files one by one.
struct Reader<'e> {
    environment: &'e Environment,
    notes: Vec<Note>,
    admitted: Vec<Manifest>,
}

impl Reader<'_> {
    fn file(&mut self, file: &Path) -> Result<()> {
        let path: Arc<Path> = file.into();
        match files::read(file)?.map_err(|problem| (1, problem)).and_then(|text| {
            read_documents(&text).map_err(|invalid| (invalid.line, invalid.problem.to_string()))
        }) {
            Ok(documents) => {
                for document in documents {
                    self.document(Source { file: Arc::clone(&path), document });
                }
            }
            Err((line, message)) => {
                let place = Place { file: file.to_path_buf(), line };
                self.notes.push(Note::error(place, "InvalidFile", message));
            }
        }
        Ok(())
    }

    fn document(&mut self, mut source: Source) {
        if !is_ours(&source.document.value) {
            return;
        }
        let mut value = std::mem::take(&mut source.document.value);
        let name = describe(&value);
        let missing = expand::expand(&mut value, self.environment);
        for (path, problem) in &missing {
            let note = Note::error(source.place(path), "VariableMissing", problem);
            self.notes.push(note.about(name.clone(), path));
        }
        let completeness =
            if missing.is_empty() { Completeness::Complete } else { Completeness::ValuesMissing };
        match (admit(&value), completeness) {
            (Ok(object), Completeness::Complete) | (Ok(object @ Object::Secret(_)), _) => {
                self.admitted.push(Manifest { object, source, completeness });
            }
            // What the variables would have said is not known, so nothing else can be said about the object.
            (_, Completeness::ValuesMissing) => {}
            (Err(problems), Completeness::Complete) => {
                for problem in problems {
                    let place = source.place(&problem.path);
                    let note = Note::error(place, "Invalid", problem.message);
                    self.notes.push(note.about(name.clone(), &problem.path));
                }
            }
        }
    }

    fn finish(mut self, namespace: Option<ObjectName>) -> Loaded {
        let admitted = std::mem::take(&mut self.admitted);
        let namespace = namespace.unwrap_or_else(|| only_namespace(&admitted));
        let mut objects: BTreeMap<Id, Manifest> = BTreeMap::new();
        for manifest in admitted {
            self.check_size(&manifest);
            let Some(id) = world::id(&manifest.object, &namespace) else {
                let message = "the name is longer than a name may be";
                let place = manifest.source.place("metadata.name");
                self.notes.push(Note::error(place, "Invalid", message).about(None, "metadata.name"));
                continue;
            };
            if let Some(first) = objects.get(&id) {
                let message =
                    format!("is already defined at {}; remove one of the two", first.source.place(""));
                let name = format!("{} {}", id.kind, id.key);
                let note = Note::error(manifest.source.place(""), "Duplicate", message);
                self.notes.push(note.about(Some(name), ""));
                continue;
            }
            objects.insert(id, manifest);
        }
        Loaded { objects, namespace, notes: self.notes }
    }

    fn check_size(&mut self, manifest: &Manifest) {
        let Object::Secret(secret) = &manifest.object else { return };
        for (key, value) in &secret.data {
            let length = value.expose().len();
            if length > limits::CREDENTIAL_BYTES {
                let message = format!(
                    "value {key:?} has {length} bytes; at most {} are allowed",
                    limits::CREDENTIAL_BYTES
                );
                let note = Note::error(manifest.source.place("data"), "Invalid", message);
                self.notes.push(note.about(None, "data"));
            }
        }
    }
}

/// Whether a document is for us to read. A folder may hold Deployments, which are somebody else's.
fn is_ours(value: &Value) -> bool {
    let text = |key: &str| value.get(key).and_then(Value::as_str);
    match (text("apiVersion"), text("kind")) {
        (Some(_), Some("Partner" | "ModelRoute" | "TenantQuota")) => true,
        (Some("v1"), Some(kind)) => matches!(kind, "Secret" | "ConfigMap" | "Namespace"),
        (Some(version), Some(_)) => version.split('/').next() == Some(GROUP),
        // Without a kind nobody can tell; the admission says what is missing.
        _ => true,
    }
}

/// How a note calls an object that may not have been admitted.
fn describe(value: &Value) -> Option<String> {
    let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str);
    let (kind, name) = (text("/kind")?, text("/metadata/name")?);
    Some(match text("/metadata/namespace") {
        Some(namespace) => format!("{kind} {namespace}/{name}"),
        None => format!("{kind} {name}"),
    })
}

fn only_namespace(admitted: &[Manifest]) -> ObjectName {
    let mut named: Vec<_> = admitted
        .iter()
        .filter_map(|manifest| world::metadata(&manifest.object).namespace.as_deref())
        .collect();
    named.sort_unstable();
    named.dedup();
    let namespace = if let [only] = named.as_slice() { only } else { DEFAULT_NAMESPACE };
    namespace.parse().unwrap_or_else(|_| DEFAULT_NAMESPACE.parse().expect("the constant is a name"))
}
