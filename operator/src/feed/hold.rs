//! Objects that sidecars refused: a scope gets them as they were when they were last good, so that one object does not
//! keep the others' changes back. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::publish::{Edition, Generations};
use crate::compile::{Kind, ObjectRef};
use crate::world::{ObjectKey, World};

/// What one scope does not get for now.
#[derive(Debug, Default)]
pub(crate) struct Holds {
    /// Objects, with the generation that was refused.
    objects: BTreeMap<ObjectRef, i64>,
}

impl Holds {
    /// Holds `object` back. `false` if it already is: then it was not to blame, or not alone.
    pub(crate) fn add(&mut self, object: ObjectRef, generation: i64) -> bool {
        self.objects.insert(object, generation) != Some(generation)
    }

    /// Lets go of what was edited or deleted since.
    pub(crate) fn release(&mut self, generations: &Generations) {
        self.objects.retain(|object, refused| generations.get(object) == Some(refused));
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
                Some(generation) => drop(generations.insert(object.clone(), *generation)),
                None => drop(generations.remove(object)),
            }
        }
        (world, generations)
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
