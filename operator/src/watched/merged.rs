//! Watches of several namespaces as one. Pure.
//!
//! Whoever reads it hears of one list, once each namespace has been listed, and of changes from then on: a namespace that
//! is listed anew, as after a broken connection, shows as what has changed in it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kube::Resource;
use kube::runtime::watcher::{self, Event};
use tokio::time::Instant;

/// How long readers wait for a namespace that may not be read: a release makes its Roles while operators start.
const GRACE: Duration = Duration::from_secs(20);

/// What is heard of one namespace.
pub(super) enum News<K> {
    /// Its watch says so.
    Event(watcher::Result<Event<K>>),
    /// The namespace is gone, and all that was in it.
    Gone,
    /// It is there, and may not be read.
    Forbidden(watcher::Error, Instant),
}

/// How far a namespace is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// Readers wait for its list.
    Awaited,
    /// It has been listed.
    Listed,
    /// Readers go on without it, since it is gone, or may not be read and never was.
    Unread,
}

/// What is known of each namespace.
pub(super) struct Merged<K> {
    places: BTreeMap<String, Place<K>>,
    /// Whether readers have had their list.
    is_listed: bool,
}

struct Place<K> {
    /// By name.
    objects: BTreeMap<String, K>,
    /// While it is listed: names that were found so far.
    found: BTreeSet<String>,
    reading: Reading,
    /// Since when it may not be read.
    forbidden: Option<Instant>,
}

impl<K: Resource + Clone> Merged<K> {
    pub(super) fn of(namespaces: &BTreeSet<String>) -> Self {
        let places = namespaces.iter().map(|namespace| (namespace.clone(), Place::default()));
        Self { places: places.collect(), is_listed: false }
    }

    /// What readers hear.
    pub(super) fn take(&mut self, namespace: &str, news: News<K>) -> Vec<watcher::Result<Event<K>>> {
        let Some(place) = self.places.get_mut(namespace) else { return Vec::new() };
        let changes = match news {
            News::Event(Err(error)) => return vec![Err(error)],
            News::Event(Ok(Event::Init)) => {
                place.found.clear();
                return Vec::new();
            }
            News::Event(Ok(Event::InitApply(object) | Event::Apply(object))) => place.put(object),
            News::Event(Ok(Event::Delete(object))) => {
                place.objects.remove(&name_of(&object));
                vec![Event::Delete(object)]
            }
            News::Event(Ok(Event::InitDone)) => place.listed(),
            News::Gone => place.gone(),
            News::Forbidden(error, at) => {
                place.forbidden(at);
                return [Err(error)].into_iter().chain(self.list_once()).collect();
            }
        };
        if self.is_listed {
            return changes.into_iter().map(Ok).collect();
        }
        self.list_once()
    }

    /// How far this namespace is.
    pub(super) fn reading(&self, namespace: &str) -> Reading {
        self.places.get(namespace).map_or(Reading::Awaited, |place| place.reading)
    }

    /// The list of all, as soon as there is one.
    fn list_once(&mut self) -> Vec<watcher::Result<Event<K>>> {
        if self.is_listed || self.places.values().any(|place| place.reading == Reading::Awaited) {
            return Vec::new();
        }
        self.is_listed = true;
        let all = self.places.values().flat_map(|place| place.objects.values().cloned());
        let list = all.map(Event::InitApply);
        [Event::Init].into_iter().chain(list).chain([Event::InitDone]).map(Ok).collect()
    }
}

impl<K> Default for Place<K> {
    fn default() -> Self {
        let (objects, found) = (BTreeMap::new(), BTreeSet::new());
        Self { objects, found, reading: Reading::Awaited, forbidden: None }
    }
}

impl<K: Resource + Clone> Place<K> {
    /// It may not be read at `now`. Nobody waits for it for long.
    fn forbidden(&mut self, now: Instant) {
        let is_over = now >= *self.forbidden.get_or_insert(now) + GRACE;
        if is_over && self.reading == Reading::Awaited {
            self.reading = Reading::Unread;
        }
    }

    /// Nothing is in it. Of another that is made under its name nothing is known before that has been listed.
    fn gone(&mut self) -> Vec<Event<K>> {
        self.found.clear();
        let gone = self.listed();
        self.reading = Reading::Unread;
        gone
    }

    fn put(&mut self, object: K) -> Vec<Event<K>> {
        self.forbidden = None;
        let name = name_of(&object);
        self.found.insert(name.clone());
        let before = self.objects.insert(name, object.clone());
        // A namesake that was deleted while nobody watched is another object.
        let other = before.filter(|before| before.meta().uid != object.meta().uid);
        other.map(Event::Delete).into_iter().chain([Event::Apply(object)]).collect()
    }

    /// The list is complete: what is not in it was deleted while nobody watched.
    fn listed(&mut self) -> Vec<Event<K>> {
        (self.reading, self.forbidden) = (Reading::Listed, None);
        let found = std::mem::take(&mut self.found);
        let (kept, gone) =
            std::mem::take(&mut self.objects).into_iter().partition(|(name, _)| found.contains(name));
        self.objects = kept;
        BTreeMap::into_values(gone).map(Event::Delete).collect()
    }
}

fn name_of<K: Resource>(object: &K) -> String {
    object.meta().name.clone().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

    use super::*;

    fn object(name: &str, uid: &str) -> ConfigMap {
        let (name, uid) = (Some(name.to_owned()), Some(uid.to_owned()));
        ConfigMap { metadata: ObjectMeta { name, uid, ..ObjectMeta::default() }, ..ConfigMap::default() }
    }

    fn merged(namespaces: &[&str]) -> Merged<ConfigMap> {
        Merged::of(&namespaces.iter().map(|name| (*name).to_owned()).collect())
    }

    /// What readers hear, as `+uid` and `-uid`, and of a list as `[` and `]`.
    fn hear(merged: &mut Merged<ConfigMap>, namespace: &str, events: Vec<Event<ConfigMap>>) -> String {
        let heard = events.into_iter().flat_map(|event| merged.take(namespace, News::Event(Ok(event))));
        words(heard.collect())
    }

    fn words(heard: Vec<watcher::Result<Event<ConfigMap>>>) -> String {
        let uid = |object: ConfigMap| object.metadata.uid.unwrap();
        let word = |event| match event {
            Event::Init => "[".to_owned(),
            Event::InitDone => "]".to_owned(),
            Event::InitApply(object) | Event::Apply(object) => format!("+{}", uid(object)),
            Event::Delete(object) => format!("-{}", uid(object)),
        };
        heard.into_iter().map(|event| word(event.unwrap())).collect::<Vec<_>>().join(" ")
    }

    fn forbidden(merged: &mut Merged<ConfigMap>, namespace: &str, at: Instant) -> String {
        let status = kube::core::Status::failure("no", "Forbidden").with_code(403).boxed();
        let heard = merged.take(namespace, News::Forbidden(watcher::Error::WatchError(status), at));
        assert!(heard[0].is_err(), "it is logged");
        words(heard.into_iter().filter(Result::is_ok).collect())
    }

    fn list(objects: &[(&str, &str)]) -> Vec<Event<ConfigMap>> {
        let found = objects.iter().map(|(name, uid)| Event::InitApply(object(name, uid)));
        [Event::Init].into_iter().chain(found).chain([Event::InitDone]).collect()
    }

    #[test]
    fn a_list_is_told_once_all_are_listed_and_changes_from_then_on() {
        let mut merged = merged(&["a", "b"]);
        assert_eq!(hear(&mut merged, "a", list(&[("x", "1"), ("y", "2")])), "");
        // Also what changes in the one while the other is awaited.
        assert_eq!(
            hear(&mut merged, "a", vec![Event::Delete(object("y", "2")), Event::Apply(object("z", "3"))]),
            ""
        );
        assert_eq!(hear(&mut merged, "b", list(&[("x", "4")])), "[ +1 +3 +4 ]");
        assert_eq!(hear(&mut merged, "b", vec![Event::Apply(object("x", "4"))]), "+4");
        assert_eq!(hear(&mut merged, "a", vec![Event::Delete(object("x", "1"))]), "-1");
    }

    #[test]
    fn a_namespace_that_is_listed_anew_shows_what_has_changed_in_it_alone() {
        let mut merged = merged(&["a", "b"]);
        hear(&mut merged, "b", list(&[("x", "9")]));
        hear(&mut merged, "a", list(&[("x", "1"), ("y", "2"), ("z", "3")]));
        // x is there, y has made room for a namesake, z is gone.
        assert_eq!(hear(&mut merged, "a", list(&[("x", "1"), ("y", "5")])), "+1 -2 +5 -3");
    }

    #[test]
    fn a_namespace_that_is_gone_takes_all_with_it_and_keeps_nobody_waiting() {
        let mut merged = merged(&["a", "b"]);
        hear(&mut merged, "a", list(&[("x", "1")]));
        assert_eq!(words(merged.take("b", News::Gone)), "[ +1 ]");
        assert_eq!(words(merged.take("a", News::Gone)), "-1");
        assert_eq!(words(merged.take("a", News::Gone)), "");
        assert_eq!(hear(&mut merged, "b", list(&[("x", "2")])), "+2");
    }

    #[test]
    fn a_namespace_that_may_not_be_read_keeps_nobody_waiting_for_long() {
        let (mut merged, start) = (merged(&["a", "b"]), crate::clock::now());
        hear(&mut merged, "a", list(&[("x", "1")]));
        assert_eq!(forbidden(&mut merged, "b", start), "");
        assert_eq!(forbidden(&mut merged, "b", start + GRACE / 2), "");
        assert_eq!(merged.reading("b"), Reading::Awaited);
        assert_eq!(forbidden(&mut merged, "b", start + GRACE), "[ +1 ]");
        assert_eq!(["a", "b"].map(|name| merged.reading(name)), [Reading::Listed, Reading::Unread]);
        assert_eq!(forbidden(&mut merged, "b", start + GRACE * 2), "");
        // Its Role is there again.
        assert_eq!(hear(&mut merged, "b", list(&[("x", "2")])), "+2");
        assert_eq!(merged.reading("b"), Reading::Listed);
    }

    #[test]
    fn a_namespace_that_is_made_anew_without_its_role_is_unread_at_once() {
        let (mut merged, start) = (merged(&["a"]), crate::clock::now());
        hear(&mut merged, "a", list(&[("x", "1")]));
        assert_eq!(words(merged.take("a", News::Gone)), "-1");
        assert_eq!(forbidden(&mut merged, "a", start), "");
        assert_eq!(merged.reading("a"), Reading::Unread, "what is in it now is unknown");
        assert_eq!(hear(&mut merged, "a", list(&[("x", "2")])), "+2");
        assert_eq!(merged.reading("a"), Reading::Listed);
    }

    #[test]
    fn what_was_read_before_stays_known() {
        let (mut merged, start) = (merged(&["a"]), crate::clock::now());
        hear(&mut merged, "a", list(&[("x", "1")]));
        assert_eq!(forbidden(&mut merged, "a", start), "");
        assert_eq!(forbidden(&mut merged, "a", start + GRACE), "");
        assert_eq!(merged.reading("a"), Reading::Listed);
        assert_eq!(hear(&mut merged, "a", list(&[("x", "1"), ("y", "2")])), "+1 +2");
    }
}
