//! A fixed table of apps, made from the configuration. Looking one up is a hash of its id or key.

use std::collections::HashMap;
use std::sync::Arc;

use jackfield_hub::{App, Apps};

/// All apps of this instance.
#[derive(Debug, Default)]
pub struct AppTable {
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
        let mut table = Self::default();
        for app in apps {
            let app = Arc::new(app);
            if table.by_id.insert(Arc::clone(&app.id), Arc::clone(&app)).is_some() {
                return Err(DuplicateApp {
                    what: "id",
                    value: app.id.to_string(),
                });
            }
            if table.by_key.insert(Arc::clone(&app.key), Arc::clone(&app)).is_some() {
                return Err(DuplicateApp {
                    what: "key",
                    value: app.key.to_string(),
                });
            }
        }
        Ok(table)
    }
}

impl Apps for AppTable {
    fn by_id(&self, id: &str) -> Option<Arc<App>> {
        self.by_id.get(id).cloned()
    }

    fn by_key(&self, key: &str) -> Option<Arc<App>> {
        self.by_key.get(key).cloned()
    }
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
}
