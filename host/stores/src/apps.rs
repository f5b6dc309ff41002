//! The table of apps, made from the configuration. Looking one up is a hash of its id or key.
//!
//! A changed configuration makes another table, put in the place of this one by one pointer: a look-up finds the apps of the
//! one or of the other. An app that goes on has the same connections as before.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use jackfield_hub::{App, Apps};

/// All apps of this instance.
#[derive(Debug, Default)]
pub struct AppTable(ArcSwap<Maps>);

#[derive(Debug, Default)]
struct Maps {
    by_id: HashMap<Arc<str>, Arc<App>>,
    by_key: HashMap<Arc<str>, Arc<App>>,
}

/// Two apps would share an id or a key.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("two apps have the {what} `{value}`; each needs its own")]
pub struct DuplicateApp {
    /// `id` or `key`.
    pub what: &'static str,
    /// The value that they share.
    pub value: String,
}

impl AppTable {
    /// A table of these apps.
    ///
    /// # Errors
    /// [`DuplicateApp`]: ids and keys are each unique, since requests are told apart by them.
    pub fn new(apps: impl IntoIterator<Item = App>) -> Result<Self, DuplicateApp> {
        let maps = Maps::of(apps.into_iter().map(Arc::new))?;
        Ok(Self(ArcSwap::from_pointee(maps)))
    }

    /// Has these apps from now on. One that is as it was stays the same one; one that has changed, told by its id, keeps what
    /// was counted.
    ///
    /// # Errors
    /// As [`AppTable::new`]; nothing has changed then.
    pub fn replace(&self, apps: Vec<App>) -> Result<(), DuplicateApp> {
        let old = self.0.load_full();
        let same = |app: App| match old.by_id.get(&app.id) {
            Some(known) if known.is_like(&app) => Arc::clone(known),
            Some(known) => Arc::new(app.in_place_of(known)),
            None => Arc::new(app),
        };
        self.0.store(Arc::new(Maps::of(apps.into_iter().map(same))?));
        Ok(())
    }
}

impl Maps {
    fn of(apps: impl Iterator<Item = Arc<App>>) -> Result<Self, DuplicateApp> {
        let mut maps = Self::default();
        for app in apps {
            if maps.by_id.insert(Arc::clone(&app.id), Arc::clone(&app)).is_some() {
                return Err(duplicate("id", &app.id));
            }
            if maps.by_key.insert(Arc::clone(&app.key), Arc::clone(&app)).is_some() {
                return Err(duplicate("key", &app.key));
            }
        }
        Ok(maps)
    }
}

impl Apps for AppTable {
    fn by_id(&self, id: &str) -> Option<Arc<App>> {
        self.0.load().by_id.get(id).cloned()
    }

    fn by_key(&self, key: &str) -> Option<Arc<App>> {
        self.0.load().by_key.get(key).cloned()
    }
}

fn duplicate(what: &'static str, value: &str) -> DuplicateApp {
    let value = value.to_owned();
    DuplicateApp { what, value }
}

#[cfg(test)]
mod tests {
    use jackfield_hub::{Policy, Secret};

    use super::*;

    fn app(id: &str, key: &str) -> App {
        App::new(id, key, Secret::new("s"), Policy::default())
    }

    #[test]
    fn finds_by_id_and_key() {
        let table = AppTable::new([app("1", "a"), app("2", "b")]).expect("distinct");
        assert_eq!(table.by_id("2").expect("there").key.as_ref(), "b");
        assert_eq!(table.by_key("a").expect("there").id.as_ref(), "1");
        assert!(table.by_id("a").is_none() && table.by_key("1").is_none());
    }

    #[test]
    fn refuses_duplicates() {
        let id = AppTable::new([app("1", "a"), app("1", "b")]).expect_err("same id");
        assert_eq!(id.to_string(), "two apps have the id `1`; each needs its own");
        let key = AppTable::new([app("1", "a"), app("2", "a")]).expect_err("same key");
        assert_eq!(key.what, "key");
    }

    #[test]
    fn an_app_that_is_as_it_was_stays_the_same_one() {
        let table = AppTable::new([app("1", "a"), app("2", "b")]).expect("distinct");
        let (first, second) = (table.by_id("1").expect("there"), table.by_id("2").expect("there"));
        table.replace(vec![app("1", "a"), app("2", "c")]).expect("distinct");
        assert!(Arc::ptr_eq(&first, &table.by_id("1").expect("there")));
        assert!(!Arc::ptr_eq(&second, &table.by_key("c").expect("there")));
        assert!(table.by_key("b").is_none());
        table.replace(vec![app("2", "c")]).expect("distinct");
        assert!(table.by_id("1").is_none() && table.by_key("a").is_none());
    }

    #[test]
    fn apps_that_cannot_be_told_apart_change_nothing() {
        let table = AppTable::new([app("1", "a")]).expect("distinct");
        table.replace(vec![app("2", "b"), app("2", "c")]).expect_err("same id");
        assert!(table.by_id("1").is_some() && table.by_id("2").is_none());
    }
}
