//! Objects that sidecars refused: a scope gets them as they were when they were last good, so that one object does not
//! keep the others' changes back. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::publish::{Edition, Generations};
use crate::compile::{Kind, ObjectRef};
use crate::world::{ObjectKey, World};

/// What one scope does not get for now.
#[derive(Debug, Default)]
pub(crate) struct Holds {
    objects: BTreeMap<ObjectRef, Hold>,
}

#[derive(Debug)]
struct Hold {
    /// The generation that was refused.
    generation: i64,
    /// Uids of the Pods that refused it.
    by: BTreeSet<String>,
}

impl Holds {
    /// Holds `object` back, as the Pod `by` refuses it. `false` if it already is: then it was not to blame, or not alone.
    pub(crate) fn add(&mut self, object: ObjectRef, generation: i64, by: &str) -> bool {
        let fresh = || Hold { generation, by: BTreeSet::new() };
        let is_new = self.objects.get(&object).is_none_or(|hold| hold.generation != generation);
        let hold = self.objects.entry(object).or_insert_with(fresh);
        if is_new {
            *hold = fresh();
        }
        hold.by.insert(by.to_owned());
        is_new
    }

    /// Lets go of what was edited or deleted since.
    pub(crate) fn release(&mut self, generations: &Generations) {
        self.objects.retain(|object, hold| generations.get(object) == Some(&hold.generation));
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
