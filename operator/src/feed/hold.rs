//! Objects that sidecars refused: a scope gets them as they were when they were last good, so that one object does not
//! keep the others' changes back. Pure.

use std::collections::{BTreeMap, BTreeSet};

use chaperone_protocol::keys::{Credential, CredentialHash};
use chaperone_protocol::name::CredentialName;
use chaperone_protocol::snapshot::Version;

use super::publish::{Edition, Generation, Generations, Secrets, credentials};
use crate::compile::{Kind, ObjectRef};
use crate::world::{ObjectKey, World};

/// What one scope does not get for now.
#[derive(Debug, Default)]
pub(crate) struct Holds {
    objects: BTreeMap<ObjectRef, Hold>,
}

#[derive(Debug)]
struct Hold {
    /// What was refused.
    form: Form,
    /// Uids of the Pods that refused it.
    by: BTreeSet<String>,
}

/// What a refusal is about: the object as it was compiled, with all that it stands on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Form {
    /// A new one is a new try, whatever has become of it.
    generation: Generation,
    /// Of its part of the snapshot.
    content: Version,
    /// Of the credentials that this part names.
    values: BTreeMap<CredentialName, Option<CredentialHash>>,
}

impl Form {
    /// Of an object of this edition. `None`: it is not in it.
    pub(crate) fn of(object: &ObjectRef, edition: &Edition, secrets: &Secrets) -> Option<Self> {
        let generation = edition.generations.get(object)?.clone();
        let part = edition.contents.part(object, edition.document()?)?;
        let value = |name: &CredentialName| (name.clone(), secrets.keys.get(name).map(Credential::hash));
        let values = credentials(&part).iter().map(value).collect();
        Some(Self { generation, content: Version::of(&part.to_bytes()), values })
    }
}

impl Holds {
    /// Holds `object` back, as the Pod `by` refuses it in this form. `false` if it already is: then it was not to
    /// blame, or not alone.
    pub(crate) fn add(&mut self, object: ObjectRef, form: Form, by: &str) -> bool {
        match self.objects.get_mut(&object) {
            Some(hold) if hold.form == form => {
                hold.by.insert(by.to_owned());
                false
            }
            _ => {
                self.objects.insert(object, Hold { form, by: [by.to_owned()].into() });
                true
            }
        }
    }

    /// Lets go of what was edited or deleted since, or stands on something that was: `form` has what there is now.
    /// Returns whether there was any that is the same but for what it stands on.
    pub(crate) fn release(&mut self, form: impl Fn(&ObjectRef) -> Option<Form>) -> bool {
        let mut is_same_object = false;
        self.objects.retain(|object, hold| {
            let now = form(object);
            let is_held = now.as_ref() == Some(&hold.form);
            is_same_object |= !is_held && now.is_some_and(|now| now.generation == hold.form.generation);
            is_held
        });
        is_same_object
    }

    /// Lets go of what nobody but this Pod refused: it is gone, or begins anew. Returns whether there was any.
    pub(crate) fn forget(&mut self, pod: &str) -> bool {
        let before = self.objects.len();
        self.objects.retain(|_, hold| !hold.by.remove(pod) || !hold.by.is_empty());
        self.objects.len() < before
    }

    /// Whether nothing is held back.
    pub(crate) fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    /// One of the objects that are held back.
    pub(crate) fn first(&self) -> Option<&ObjectRef> {
        self.objects.keys().next()
    }

    /// The world with each of the objects as it was in `good`, or without it.
    pub(crate) fn apply(
        &self,
        world: &World,
        generations: &Generations,
        good: Option<&Edition>,
    ) -> (World, Generations) {
        let (mut world, mut generations) = (world.clone(), generations.clone());
        for object in self.objects.keys() {
            let before = good.map(|good| good.world.as_ref());
            let key = &object.key;
            match object.kind {
                Kind::Partner => put_back(&mut world.partners, before.map(|it| &it.partners), key),
                Kind::ModelRoute => put_back(&mut world.routes, before.map(|it| &it.routes), key),
                Kind::TenantQuota => put_back(&mut world.quotas, before.map(|it| &it.quotas), key),
            }
            match good.and_then(|good| good.generations.get(object)) {
                Some(generation) => drop(generations.insert(object.clone(), generation.clone())),
                None => drop(generations.remove(object)),
            }
        }
        (world, generations)
    }

    /// The objects that are left out beside `good`, though they may have been good before this leadership.
    pub(crate) fn lacking(&self, good: Option<&Edition>) -> BTreeSet<ObjectRef> {
        let is_unknown = |object: &&ObjectRef| good.is_none_or(|good| good.lacks.contains(*object));
        self.objects.keys().filter(is_unknown).cloned().collect()
    }

    /// The objects.
    pub(crate) fn objects(&self) -> BTreeSet<ObjectRef> {
        self.objects.keys().cloned().collect()
    }
}

fn put_back<T: Clone>(
    objects: &mut BTreeMap<ObjectKey, T>,
    before: Option<&BTreeMap<ObjectKey, T>>,
    key: &ObjectKey,
) {
    match before.and_then(|before| before.get(key)) {
        Some(good) => drop(objects.insert(key.clone(), good.clone())),
        None => drop(objects.remove(key)),
    }
}
